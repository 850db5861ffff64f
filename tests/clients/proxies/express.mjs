// A common Express set-up: compression for every response, and a proxy to the gateway.
import compression from "compression";
import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";

const [gateway, port] = process.argv.slice(2);
const app = express();
app.use(compression());
app.use(createProxyMiddleware({ target: gateway, xfwd: true, pathFilter: ["/v1", "/api/chat"] }));
app.listen(Number(port), "127.0.0.1");
