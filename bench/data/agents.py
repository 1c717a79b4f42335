"""User agents of people's browsers, all different."""

from __future__ import annotations

import random
from functools import cache

_DESKTOPS = (
    "Windows NT 10.0; Win64; x64",
    "Windows NT 6.1; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "X11; CrOS x86_64 14541.0.0",
)
_MAKERS = ("SM-A", "SM-G", "SM-S", "moto g", "Redmi Note ", "CPH", "RMX", "V2", "Pixel ", "M20", "LM-Q", "TECNO K")
_LANGUAGES = ("en_US", "de_DE", "ko_KR", "pt_BR", "es_ES", "ja_JP", "fr_FR", "it_IT")


@cache
def pool(size: int, seed: int = 1) -> list[bytes]:
    """So many different agents, the same for the same seed."""
    draw = random.Random(seed)
    found: dict[str, None] = {}
    makers = (_chrome, _android, _iphone, _firefox, _edge, _in_app)
    while len(found) < size:
        found[draw.choices(makers, (30, 30, 20, 5, 8, 7))[0](draw)] = None
    return [agent.encode() for agent in found]


def _build(draw: random.Random) -> str:
    return f"{draw.randint(90, 142)}.0.{draw.randint(4400, 7400)}.{draw.randint(20, 220)}"


def _chrome(draw: random.Random) -> str:
    system = draw.choice(_DESKTOPS)
    return f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{_build(draw)} Safari/537.36"


def _device(draw: random.Random) -> str:
    return f"Linux; Android {draw.randint(8, 16)}; {draw.choice(_MAKERS)}{draw.randint(100, 999)}{draw.choice('BFNUX')}"


def _android(draw: random.Random) -> str:
    browser = f"AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{_build(draw)} Mobile Safari/537.36"
    return f"Mozilla/5.0 ({_device(draw)}) {browser}"


def _ios(draw: random.Random) -> str:
    return f"{draw.randint(13, 19)}_{draw.randint(0, 7)}_{draw.randint(0, 3)}"


def _webkit(draw: random.Random) -> str:
    engine = f"AppleWebKit/{draw.randint(604, 621)}.{draw.randint(1, 4)}.{draw.randint(1, 30)} (KHTML, like Gecko)"
    return f"Mozilla/5.0 (iPhone; CPU iPhone OS {_ios(draw)} like Mac OS X) {engine}"


def _iphone(draw: random.Random) -> str:
    return f"{_webkit(draw)} Version/{draw.randint(13, 19)}.{draw.randint(0, 7)} Mobile/15E148 Safari/604.1"


def _firefox(draw: random.Random) -> str:
    version = f"{draw.randint(78, 145)}.{draw.randint(0, 9)}"
    return f"Mozilla/5.0 ({draw.choice(_DESKTOPS)}; rv:{version}) Gecko/20100101 Firefox/{version}"


def _edge(draw: random.Random) -> str:
    return f"{_chrome(draw)} Edg/{_build(draw)}"


def _in_app(draw: random.Random) -> str:
    """The browser inside the Instagram app."""
    version = f"{draw.randint(200, 400)}.0.0.{draw.randint(1, 60)}.{draw.randint(60, 140)}"
    device = f"iPhone15,2; iOS {_ios(draw)}; {draw.choice(_LANGUAGES)}; scale=3.00"
    return f"{_webkit(draw)} Mobile/15E148 Instagram {version} ({device})"
