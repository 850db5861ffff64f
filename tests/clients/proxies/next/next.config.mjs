const target = process.env.GATEWAY_URL;

export default {
  distDir: process.env.NEXT_DIST_DIR,
  // The page of another project may have its own lock file above this folder.
  turbopack: { root: import.meta.dirname + "/.." },
  async rewrites() {
    return ["v1", "api"].map((path) => ({ source: `/${path}/:rest*`, destination: `${target}/${path}/:rest*` }));
  },
};
