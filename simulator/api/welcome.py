"""Welcome messages (欢迎语): one shot within 20 seconds."""

from simulator.api.content import read_content
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.clock import wall


@endpoint(
    "externalcontact/send_welcome_msg",
    Field("welcome_code", missing=41049),
    Field("text", dict),
    Field("attachments", list, items=dict),
)
def send_welcome(call: Call) -> dict:
    """Greet the customer of the code. 41050 unknown or late, 41051 used before or already chatting."""
    text, attachments = read_content(call)
    code = call.corp.welcomes.find(call["welcome_code"])
    if code is None or wall() > code.expires:
        raise WeComError(41050)
    follow = call.corp.customers.follow(code.userid, code.number)
    if code.used or (follow and follow.chatting):
        raise WeComError(41051)
    code.used = True
    if follow:
        call.corp.customers.edit(code.userid, code.number).greeted = True
    content = {"attachments": attachments} | ({"text": text} if text else {})
    message = {"kind": "welcome", "at": call.now, "userid": code.userid, "content": content}
    call.corp.masses.deliver(code.number, message)
    return {}
