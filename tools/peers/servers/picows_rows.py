"""A room server by careful Python: picows, packed rows, one buffer for each room. Run: picows_rows.py PORT HZ.

A client connects to /ROOM/ID. In: u32 seq and 84 bytes. Out: u8 1, u8 0, u16 n, n x (u16 id, u32 seq, 84 bytes).
"""

import asyncio
import struct
import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

STATE = 88
ROW = 2 + STATE
HEAD = 4


class Hall:
    """One room: its members and their rows, ready to be sent."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.rows = bytearray(struct.pack("<BBH", 1, 0, 0))

    def enter(self, member: "Member", number: int) -> int:
        """Where the newcomer's state is in `rows`."""
        self.members.append(member)
        at = len(self.rows) + 2
        self.rows += struct.pack("<H", number) + bytes(STATE)
        struct.pack_into("<H", self.rows, 2, len(self.members))
        return at

    def leave(self, member: "Member") -> None:
        """The last row takes the place of the one that goes."""
        last = self.members.pop()
        if last is not member:
            self.members[self.members.index(member)] = last
            self.rows[member.at - 2 : member.at + STATE] = self.rows[-ROW:]
            last.at = member.at
        del self.rows[-ROW:]
        struct.pack_into("<H", self.rows, 2, len(self.members))

    def show(self) -> None:
        """Everybody's newest state to everybody."""
        view = bytes(self.rows)
        for member in self.members:
            member.transport.send(WSMsgType.BINARY, view)


class Member(WSListener):
    """One connection."""

    transport: WSTransport

    def __init__(self, hall: Hall, number: int) -> None:
        self.hall, self.number, self.at = hall, number, 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Come in."""
        self.transport = transport
        self.at = self.hall.enter(self, self.number)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Keep the newest state."""
        if frame.msg_type == WSMsgType.BINARY and frame.payload_size == STATE:
            self.hall.rows[self.at : self.at + STATE] = frame.get_payload_as_memoryview()
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Go."""
        self.hall.leave(self)


async def serve(port: int, hz: float) -> None:
    """Turn for ever."""
    halls: dict[str, Hall] = {}

    def member(request: WSUpgradeRequest) -> Member:
        room, number = request.path.decode().strip("/").split("/")
        return Member(halls.setdefault(room, Hall()), int(number))

    await ws_create_server(member, "127.0.0.1", port)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + 1 / hz, loop.time())
        await asyncio.sleep(due - loop.time())
        for hall in halls.values():
            hall.show()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
