import { EventSourcePolyfill } from "event-source-polyfill";
import { show, url } from "./show.mjs";

show(new EventSourcePolyfill(url));
