"""What makes two clicks the same event, the same user, the same repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.event import Click
from rollups.fields import BLANK, Fields
from rollups.identity import Identify, Identities

MS = 1_767_225_600_000


def identities(*clicks: Click, secret: str = "secret") -> Identities:
    return Identify(secret).of(Fields.of(list(clicks)))


def test_users_are_hashed_with_the_secret() -> None:
    click = Click(MS, account_id=1, domain="d.e", link_id="a", ip="192.0.2.1")
    one, again, two = (identities(click, secret=secret).users[0] for secret in ("one", "one", "two"))
    assert one == again != two
    assert one != 0 != two


def test_a_click_without_any_identity_has_no_user_and_no_id() -> None:
    who = identities(Click(MS, account_id=1, domain="d.e", link_id="a"), BLANK)
    assert who.users.tolist() == who.ids.tolist() == [0, 0]


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
