const gateway = process.env.GATEWAY_URL ?? "http://127.0.0.1:8000";

export default {
  distDir: process.env.NEXT_DIST_DIR,
  // The page of another project may have its own lock file above this folder.
  turbopack: { root: import.meta.dirname + "/.." },
  rewrites: async () => [
    { source: "/v1/:path*", destination: `${gateway}/v1/:path*` },
    { source: "/api/chat/:path*", destination: `${gateway}/api/chat/:path*` },
  ],
};
