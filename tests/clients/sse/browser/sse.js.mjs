import { SSE } from "sse.js";
import { show, url } from "./show.mjs";

show(new SSE(url, { autoReconnect: true }));
