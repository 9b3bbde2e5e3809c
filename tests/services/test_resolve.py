"""What a REF means: a name, an id, a service with one container; and which names are suggested if nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui.core.errors import NotFound, UsageError
from tui.core.ids import ContainerId
from tui.core.lifecycle import Group
from tui.core.records import Container, Driver, DriverKind, State
from tui.engine.live.parse import EPOCH
from tui.services.resolve import resolve_ref


def container(name: str, group: Group | None = None) -> Container:
    container_id = ContainerId(f"{abs(hash(name)):064x}"[:64])
    driver = Driver(DriverKind.GRAPH, "overlay2")
    made = Container("local", container_id, name, State.RUNNING, "", driver, "image", EPOCH)
    return replace(made, group=group) if group else made


CONTAINERS = (
    container("shop-web-1", Group(compose_project="shop", compose_service="web")),
    container("shop-queue-1", Group(compose_project="shop", compose_service="queue")),
    container("shop-queue-2", Group(compose_project="shop", compose_service="queue")),
    container("keep.1.x7f", Group(swarm_service="keep")),
    container("my_app"),
    container("deepcopy"),
)


@pytest.mark.parametrize(("ref", "name"), [("web", "shop-web-1"), ("keep", "keep.1.x7f"), ("local/web", "shop-web-1")])
def test_service_with_one_container_is_meant(ref: str, name: str) -> None:
    assert resolve_ref(CONTAINERS, ref).name == name


def test_service_with_two_containers_is_ambiguous() -> None:
    with pytest.raises(UsageError, match="queue means 2 containers"):
        resolve_ref(CONTAINERS, "queue")


def test_name_comes_before_service() -> None:
    named = container("web")
    assert resolve_ref((*CONTAINERS, named), "web") is named


@pytest.mark.parametrize(
    ("ref", "suggested"),
    [
        ("MY_APP", "my_app?"),
        ("my-app", "my_app?"),
        ("deep", "deepcopy?"),
        ("kee", "keep.1.x7f"),
        ("que", "shop-queue-1, shop-queue-2"),
        ("deepcpy", "deepcopy"),
    ],
)
def test_suggestion_prefers_prefix_and_case(ref: str, suggested: str) -> None:
    with pytest.raises(NotFound) as refused:
        resolve_ref(CONTAINERS, ref)
    assert refused.value.hint is not None
    assert refused.value.hint.startswith(f"did you mean {suggested}")


def test_long_label_is_compared_in_part() -> None:
    with pytest.raises(NotFound):
        resolve_ref((container("web", Group(compose_service="x" * 10_000)),), "x" * 300)
