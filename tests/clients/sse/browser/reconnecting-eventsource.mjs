import ReconnectingEventSource from "reconnecting-eventsource";
import { show, url } from "./show.mjs";

show(new ReconnectingEventSource(url));
