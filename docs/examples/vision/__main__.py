"""Send images to a model: one from disk, then one that an agent's tool returns."""

import argparse
import base64
import mimetypes
import struct
import tempfile
import zlib
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from docs.examples.service import service
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

SIDE = 96  # pixels; the service takes images from 10 pixels on
RED, BLUE, WHITE = b"\xd0\x20\x20", b"\x20\x40\xd0", b"\xff\xff\xff"


def image_block(content: bytes, mime_type: str) -> dict[str, str]:
    """Make an image block in LangChain's format for all providers."""
    return {
        "type": "image",
        "base64": base64.b64encode(content).decode(),
        "mime_type": mime_type,
    }


def describe(model: ChatDashScopeDeepSeek, path: Path) -> None:
    """Ask for a description of an image file."""
    mime_type = mimetypes.guess_type(path)[0] or "image/png"
    question = {"type": "text", "text": "What is in this picture? Answer in one sentence."}
    image = image_block(path.read_bytes(), mime_type)
    message = model.invoke([HumanMessage([question, image])])
    print(f"{path.name}: {message.text}")
    if message.usage_metadata:
        details = message.usage_metadata.get("input_token_details", {})
        print(f"Tokens of the image: {details.get('image')}")


@tool
def take_photo(camera: str) -> list[dict[str, str]]:
    """Take a photo with a camera: "door" or "garden"."""
    photo = draw_png(BLUE if camera == "door" else RED)
    return [{"type": "text", "text": f"The {camera}, now:"}, image_block(photo, "image/png")]


def watch(model: ChatDashScopeDeepSeek) -> None:
    """Let an agent take a photo and describe it.

    The service accepts images in user messages only, so the package sends the images of a tool in a
    user message after the result. The thread itself does not change.
    """
    agent = create_agent(model, tools=[take_photo])
    question = HumanMessage("Use take_photo with the camera 'door', and describe what you see.")
    for message in agent.invoke({"messages": [question]})["messages"]:
        blocks = [block["type"] for block in message.content_blocks]
        print(f"{message.type} {blocks}: {message.text}")


def main() -> None:
    """Describe the image of the command line, or a drawn one, then run the agent."""
    parser = argparse.ArgumentParser(prog="vision", description=__doc__)
    parser.add_argument("image", nargs="?", type=Path, help="PNG, JPEG, GIF or WebP, up to 10 MB")
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()

    with (
        service(None if arguments.image else script) as settings,
        ChatDashScopeDeepSeek(model=arguments.model, **settings) as model,
        tempfile.TemporaryDirectory() as folder,
    ):
        path = arguments.image or Path(folder, "disc.png")
        if not arguments.image:
            path.write_bytes(draw_png(RED))
        describe(model, path)
        print()
        watch(model)


def draw_png(colour: bytes) -> bytes:
    """Draw a disc of a colour on white, as a PNG, with the standard library alone."""

    def part(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    centre, radius = SIDE / 2, SIDE / 3
    rows = b"".join(
        b"\0"  # this row is not filtered
        + b"".join(
            colour if (x - centre) ** 2 + (y - centre) ** 2 < radius**2 else WHITE
            for x in range(SIDE)
        )
        for y in range(SIDE)
    )
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)  # 8 bits each of red, green, blue
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", header)
        + part(b"IDAT", zlib.compress(rows))
        + part(b"IEND", b"")
    )


def script(emulator: DashScopeEmulator) -> None:
    """Script the descriptions, since the emulator does not read images."""
    emulator.reply("A red disc on a white ground.", reasoning="Round, and all of one colour.")
    call = {"name": "take_photo", "arguments": {"camera": "door"}}
    emulator.reply(reasoning="I have to look.", tool_calls=[call])
    emulator.reply("At the door there is a blue disc on a white ground.")


if __name__ == "__main__":
    main()
