// Vite's development server, with the proxy that its documentation shows.
import { createServer } from "vite";

const [gateway, port] = process.argv.slice(2);
const server = await createServer({
  configFile: false,
  root: import.meta.dirname,
  logLevel: "error",
  server: {
    host: "127.0.0.1",
    port: Number(port),
    strictPort: true,
    proxy: { "/v1": gateway, "/api/chat": gateway },
  },
});
await server.listen();
