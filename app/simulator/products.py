"""The products on the simulated market: fictitious vendors, their models and the commands these understand."""

from typing import Any

from app.simulator.records import CommandModel, JsonObject, Model
from app.simulator.world import World

PARTNER_VENDOR = "Orbitone Systems"
HEARTBEAT_MODEL_ID = "5dc4ba6c-c323-4118-a4e4-504f074426f2"

VIDEO_INPUTS = ("hdmi1", "hdmi2", "hdbaset", "wireless")
LIGHT_SCENES = ("presentation", "meeting", "video_call", "cleaning", "all_off")


def choice(name: str, options: tuple[str, ...], required: bool = True) -> JsonObject:
    return {
        "name": name,
        "type": "select",
        "typeName": "staticListSingle",
        "required": required,
        "options": list(options),
    }


def choices(name: str, options: tuple[str, ...], required: bool = True) -> JsonObject:
    return choice(name, options, required) | {"type": "multiselect", "typeName": "staticListMulti"}


def number(name: str, low: int, high: int, required: bool = True) -> JsonObject:
    return {"name": name, "type": "number", "typeName": "number", "required": required, "min": low, "max": high}


def text(name: str, required: bool = True) -> JsonObject:
    return {"name": name, "type": "text", "typeName": "text", "required": required}


def dynamic(name: str, path: str) -> JsonObject:
    return {"name": name, "type": "select", "typeName": "dynamicListSingle", "required": True, "path": path}


def parameter(name: str, kind: str, required: bool = False) -> JsonObject:
    return {"name": name, "type": kind, "required": required}


def does(name: str, friendly_name: str, *fields: JsonObject, **effect: Any) -> CommandModel:
    """A command; a value "$field" in its effect stands for what was sent in that field."""
    return CommandModel("", name, friendly_name, fields, effect)


def reboot() -> CommandModel:
    return CommandModel("", "reboot", "Reboot", seconds=12.0, restarts=True)


def update_firmware() -> CommandModel:
    return CommandModel("", "update_firmware", "Update firmware", seconds=20.0, with_file=True, restarts=True)


def power() -> tuple[CommandModel, ...]:
    return (does("power_on", "Power on", power="on"), does("power_off", "Power off", power="off"))


def sound() -> tuple[CommandModel, ...]:
    return (
        does("set_volume", "Set volume", number("level", 0, 100), volume="$level"),
        does("mute", "Mute", muted=True),
        does("unmute", "Unmute", muted=False),
    )


def screen() -> tuple[CommandModel, ...]:
    return (
        *power(),
        does("set_input", "Set input", choice("input", VIDEO_INPUTS), input="$input"),
        does("set_brightness", "Set brightness", number("level", 0, 100), brightness="$level"),
    )


def projector() -> tuple[CommandModel, ...]:
    return (
        *screen(),
        does("picture_mute", "Picture mute", picture_muted=True),
        does("picture_unmute", "Picture unmute", picture_muted=False),
        does("set_volume", "Set volume", number("level", 0, 100), volume="$level"),
        reboot(),
    )


PROJECTOR_STATE: JsonObject = {
    "power": "off",
    "input": "hdmi1",
    "brightness": 80,
    "volume": 20,
    "picture_muted": False,
    "lamp_hours": 1200,
    "temperature": 38,
}
DISPLAY_STATE: JsonObject = {
    "power": "off",
    "input": "hdmi1",
    "brightness": 70,
    "volume": 25,
    "muted": False,
    "temperature": 34,
}
AUDIO_STATE: JsonObject = {"volume": 40, "muted": False, "preset": "speech", "temperature": 36}


def every_product() -> tuple[JsonObject, ...]:
    """The market, as arguments of a model."""
    return (
        {
            "key": "projector",
            "vendor": "Lumenor",
            "name": "LX-7 Laser Projector",
            "kind": "Projector",
            "state": PROJECTOR_STATE,
            "commands": projector(),
        },
        {
            "key": "short_throw",
            "vendor": "Lumenor",
            "name": "LX-3 Short Throw",
            "kind": "Projector",
            "state": PROJECTOR_STATE | {"lamp_hours": 2900},
            "commands": projector(),
        },
        {
            "key": "display",
            "vendor": "Vistaglow",
            "name": "VG-75 Display",
            "kind": "Display",
            "state": DISPLAY_STATE,
            "commands": (*screen(), *sound(), reboot()),
            "authentication": "mac",
        },
        {
            "key": "wide_display",
            "vendor": "Vistaglow",
            "name": "VG-98 Display Pro",
            "kind": "Display",
            "state": DISPLAY_STATE,
            "commands": (
                *screen(),
                *sound(),
                does("show_windows", "Show windows", choices("inputs", VIDEO_INPUTS), windows="$inputs"),
                reboot(),
            ),
            "authentication": "mac",
        },
        {
            "key": "dsp",
            "vendor": PARTNER_VENDOR,
            "name": "DSP-X200",
            "kind": "Audio Processor",
            "state": AUDIO_STATE,
            "commands": (
                *sound(),
                does(
                    "recall_preset",
                    "Recall preset",
                    choice("preset", ("speech", "conference", "music", "silent")),
                    preset="$preset",
                ),
                reboot(),
            ),
        },
        {
            "key": "soundbar",
            "vendor": "Sonaris",
            "name": "Bar 40",
            "kind": "Soundbar",
            "state": {"power": "on", "volume": 35, "muted": False},
            "commands": (*power(), *sound(), reboot()),
            "authentication": "mac",
        },
        {
            "key": "matrix",
            "vendor": "Crosspoint Labs",
            "name": "MX-88 Matrix Switcher",
            "kind": "Matrix Switcher",
            "state": {"output_1": "hdmi1", "output_2": "hdmi2", "temperature": 41, "fan_speed": 1800},
            "commands": (
                does(
                    "set_route",
                    "Set route",
                    choice("input", VIDEO_INPUTS),
                    choice("output", ("output_1", "output_2"), required=False),
                    **{"$output|output_1": "$input"},
                ),
                reboot(),
            ),
        },
        {
            "key": "codec",
            "vendor": PARTNER_VENDOR,
            "name": "VC-500 Video Codec",
            "kind": "Video Codec",
            "state": {
                "power": "on",
                "input": "camera",
                "volume": 50,
                "muted": False,
                "recording": False,
                "call": "idle",
                "temperature": 44,
            },
            "commands": (
                *power(),
                *sound(),
                does("set_input", "Set input", choice("input", ("camera", "content", "both")), input="$input"),
                does("start_recording", "Start recording", text("title", required=False), recording=True),
                does("stop_recording", "Stop recording", recording=False),
                does("join_call", "Join call", text("address"), call="connected", call_address="$address"),
                does("end_call", "End call", call="idle", call_address=None),
                reboot(),
                update_firmware(),
            ),
        },
        {
            "key": "camera",
            "vendor": PARTNER_VENDOR,
            "name": "EyeTrack PTZ-20",
            "kind": "PTZ Camera",
            "state": {"power": "on", "preset": 1, "zoom": 1, "tracking": False},
            "commands": (
                *power(),
                does("recall_preset", "Recall preset", number("preset", 1, 10), preset="$preset"),
                does("set_zoom", "Set zoom", number("zoom", 1, 20), zoom="$zoom"),
                does("start_tracking", "Start tracking", tracking=True),
                does("stop_tracking", "Stop tracking", tracking=False),
                reboot(),
            ),
        },
        {
            "key": "microphone",
            "vendor": PARTNER_VENDOR,
            "name": "AirMic 360",
            "kind": "Ceiling Microphone",
            "state": {"muted": False, "gain": 6, "led": "green"},
            "commands": (
                does("mute", "Mute", muted=True, led="red"),
                does("unmute", "Unmute", muted=False, led="green"),
                does("set_gain", "Set gain", number("gain", 0, 24), gain="$gain"),
            ),
        },
        {
            "key": "touch_panel",
            "vendor": "Tactile Works",
            "name": "TP-10 Touch Panel",
            "kind": "Touch Panel",
            "state": {"power": "on", "page": "home", "brightness": 60},
            "commands": (
                does("wake", "Wake", power="on"),
                does("sleep", "Sleep", power="off"),
                does("show_page", "Show page", choice("page", ("home", "call", "help")), page="$page"),
                does("set_brightness", "Set brightness", number("level", 0, 100), brightness="$level"),
                reboot(),
            ),
        },
        {
            "key": "scheduler",
            "vendor": "Tactile Works",
            "name": "RS-7 Room Scheduler",
            "kind": "Room Scheduler",
            "state": {"power": "on", "availability": "free", "message": "", "brightness": 50},
            "commands": (
                does(
                    "set_availability",
                    "Set availability",
                    choice("availability", ("free", "busy", "closed")),
                    availability="$availability",
                ),
                does("show_message", "Show message", text("message"), message="$message"),
                reboot(),
            ),
        },
        {
            "key": "lights",
            "vendor": "Glimmerline",
            "name": "LC-4 Lighting Controller",
            "kind": "Lighting Controller",
            "state": {"power": "on", "level": 80, "scene": "meeting"},
            "commands": (
                does("lights_on", "Lights on", power="on", level=100),
                does("lights_off", "Lights off", power="off", level=0),
                does("set_level", "Set level", number("level", 0, 100), level="$level"),
                does("recall_scene", "Recall scene", choice("scene", LIGHT_SCENES), scene="$scene"),
            ),
        },
        {
            "key": "blinds",
            "vendor": "Shadeline",
            "name": "S2 Blinds Motor",
            "kind": "Blinds",
            "state": {"position": 100},
            "commands": (
                does("open_blinds", "Open blinds", position=100),
                does("close_blinds", "Close blinds", position=0),
                does("set_position", "Set position", number("position", 0, 100), position="$position"),
            ),
            "authentication": "mac",
        },
        {
            "key": "motor_screen",
            "vendor": "Shadeline",
            "name": "RollUp 120 Screen",
            "kind": "Motorised Screen",
            "state": {"position": "up"},
            "commands": (
                does("lower_screen", "Lower screen", position="down"),
                does("raise_screen", "Raise screen", position="up"),
            ),
            "authentication": "mac",
        },
        {
            "key": "player",
            "vendor": "Playcraft",
            "name": "MP-1 Media Player",
            "kind": "Media Player",
            "state": {
                "playback": "playing",
                "content": "welcome-loop",
                "content_list": "welcome-loop,safety,town-hall",
                "temperature": 40,
            },
            "commands": (
                does("play", "Play", playback="playing"),
                does("pause", "Pause", playback="paused"),
                does("stop", "Stop", playback="stopped"),
                does("select_content", "Select content", dynamic("content", "state.content_list"), content="$content"),
                reboot(),
            ),
        },
        {
            "key": "network_switch",
            "vendor": "Northgate Networks",
            "name": "SNMP Switch 24",
            "kind": "Network Switch",
            "state": {"ports_up": 18, "temperature": 39},
            "commands": (
                does("cycle_port", "Cycle port", number("port", 1, 24), last_cycled_port="$port"),
                reboot(),
            ),
            "parameters": (
                parameter("SNMP community", "text", required=True),
                parameter("Port", "number"),
                parameter("Password", "password"),
            ),
            "edge": True,
            "authentication": "mac",
        },
        {
            "key": "heartbeat",
            "vendor": "Generic",
            "name": "Heartbeat",
            "kind": "Ping",
            "state": {"round_trip_ms": 3},
            "commands": (),
            "edge": True,
            "authentication": "mac",
        },
    )


def stock(world: World) -> dict[str, Model]:
    """Put every product on the market; the models by key."""
    models: dict[str, Model] = {}
    for product in every_product():
        model = _model(world, product)
        world.add_model(model)
        models[model.key] = model
    return models


def _model(world: World, product: JsonObject) -> Model:
    key = product["key"]
    commands: tuple[CommandModel, ...] = product["commands"]
    for command in commands:
        command.id = world.id_of(f"model/{key}/command/{command.name}")
    model = Model(
        id=HEARTBEAT_MODEL_ID if key == "heartbeat" else world.id_of(f"model/{key}"),
        key=key,
        vendor=product["vendor"],
        name=product["name"],
        kind=product["kind"],
        hardware_key=f"fake-hardware-key-{key.replace('_', '-')}",
        firmware_version="1.2.0",
        authentication=product.get("authentication", "cloud_id"),
        state=product["state"],
        commands={command.name: command for command in commands},
        parameters=product.get("parameters", ()),
        edge=product.get("edge", False),
    )
    if any(command.with_file for command in commands):
        model.files.append(_firmware(world, model))
    return model


def _firmware(world: World, model: Model) -> JsonObject:
    return {
        "id": world.id_of(f"model/{model.key}/file"),
        "name": f"{model.name} firmware",
        "url": f"https://files.example.invalid/{model.key}-1.3.0.bin?signature=fake-signature",
        "desc": "Stable release",
        "file_type": "firmware",
        "version": "1.3.0",
        "checksum": "0x0badc0de",
        "signature": "fake-firmware-signature",
        "created_at": "2026-01-15T09:00:00.000Z",
        "public_notes": "Faster start and better lip synchrony.",
    }
