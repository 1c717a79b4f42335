"""When two clicks are the same event, the same user or a repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.event import Click
from ingest.event.addresses import AddressHasher
from rollups.transform.click_columns import BLANK, ClickColumns
from rollups.transform.identity import Identities, IdentityHasher

MS = 1_767_225_600_000


def identities(*clicks: Click, secret: str = "secret", key: bytes = b"key of event ids") -> Identities:
    return IdentityHasher(secret, key).hash_clicks(ClickColumns.from_clicks(list(clicks)))


def test_users_are_hashed_with_the_secret() -> None:
    click = Click(MS, account_id=1, domain="d.e", link_id="a", ip="192.0.2.1")
    one, again, two = (identities(click, secret=secret).users[0] for secret in ("one", "one", "two"))
    assert one == again != two
    assert one != 0 != two


def test_an_event_keeps_its_identity_under_another_secret() -> None:
    click = Click(MS, event_id="e", account_id=1, domain="d.e", link_id="a", ip="192.0.2.1")
    one, two = identities(click, secret="one"), identities(click, secret="two")
    assert one.ids[0] == two.ids[0] != identities(click, key=b"another key").ids[0]
    assert one.users[0] != two.users[0]


def test_an_event_id_belongs_to_the_owners_of_its_click() -> None:
    owners = [(account, publisher) for account in (None, 1, 2) for publisher in (None, 1, 2)]
    clicks = [Click(MS, event_id="e", account_id=account, publisher_id=publisher) for account, publisher in owners]
    assert len(set(identities(*clicks, *clicks).ids.tolist())) == len(owners)
    assert identities(Click(MS, account_id=1), Click(MS, event_id="", account_id=1)).ids.tolist() == [0, 0]


def test_a_visitor_is_one_user_whether_the_address_came_as_it_is_or_hashed() -> None:
    bare, hashed = (
        Click(MS, ip=ip, user_agent="a") for ip in ("192.0.2.1", AddressHasher("s").hash_address("192.0.2.1"))
    )
    others = [Click(MS, ip="192.0.2.2", user_agent="a"), Click(MS, ip="192.0.2.1"), Click(MS, user_agent="a")]
    users = identities(bare, hashed, *others, secret="s").users
    assert users[0] == users[1]
    assert len(set(users.tolist())) == 4


def test_a_click_without_any_identity_has_no_user_and_no_id() -> None:
    found = identities(Click(MS, account_id=1, domain="d.e", link_id="a"), BLANK)
    assert found.users.tolist() == found.ids.tolist() == [0, 0]


fields = st.fixed_dictionaries(
    {
        "clicked_at": st.integers(MS, MS + 20_000),
        "visitor_id": st.sampled_from(["v", "w"]),
        "link": st.sampled_from([(1, "d.e", "a"), (1, "d.e", "b"), (2, "d.e", "a"), None]),
        "placement": st.sampled_from([(1, 2, 3), (1, 2, 4)]),
    }
)


@given(st.lists(fields, max_size=30), st.integers(1, 7))
def test_repeat_keys_are_equal_for_the_same_user_link_and_slot_only(drawn: list[dict[str, Any]], seconds: int) -> None:
    clicks, expected = [], []
    for values in drawn:
        account, domain, link = values["link"] or (None, None, None)
        publisher, advertiser, network = values["placement"]
        clicks.append(
            Click(
                values["clicked_at"],
                visitor_id=values["visitor_id"],
                account_id=account,
                domain=domain,
                link_id=link,
                publisher_id=publisher,
                advertiser_id=advertiser,
                network_id=network,
            )
        )
        place = values["link"] or values["placement"]
        expected.append((values["visitor_id"], place, values["clicked_at"] // (seconds * 1000)))
    keys = identities(*clicks).repeat_keys(seconds)
    assert len(np.unique(keys)) == len(set(expected)) == len(set(zip(keys.tolist(), expected, strict=True)))
    assert 0 not in keys
