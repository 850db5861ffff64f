// One version of the AI SDK: "5.0.0", "5", "6" or "7".
export async function sdk(version) {
  const name = (module) => (version === "7" ? module : `${module}-${version}`);
  return { ...(await import(name("ai"))), ...(await import(name("@ai-sdk/react"))) };
}
