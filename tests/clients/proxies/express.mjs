// A common Express set-up: compression for every response, and a proxy to the gateway.
import compression from "compression";
import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";

const [target, port] = process.argv.slice(2);
const app = express();
app.use(compression());
app.use(createProxyMiddleware({ target, changeOrigin: false, pathFilter: ["/v1", "/api"] }));
app.listen(Number(port), "127.0.0.1");
