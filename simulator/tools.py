"""The model that always calls tools: two at once. No I/O."""

from simulator.calls import play_calls, play_functions
from simulator.chat_request import ChatRequest
from simulator.demos import play_answer
from simulator.script import Script
from simulator.topic import read_topic


def play_tools(request: ChatRequest) -> Script:
    """Calls two of the request's tools, or two prepared ones if it has none; then answers with their results."""
    box = request.toolbox
    if box.mode in ("named", "required") and box.functions:
        return play_functions(request, box.choose(request.prompt))
    if request.tool_results or box.mode == "none":
        return play_answer(request)
    if not box.functions:
        city = read_topic(request.prompt).words[0].title()
        prepared = [("get_weather", {"city": city, "unit": "celsius"}), ("get_time", {"city": city, "hours": 24})]
        return play_calls(request, prepared)
    two = [box.functions[0], box.functions[1 % len(box.functions)]]
    return play_functions(request, two if box.parallel else two[:1])
