from __future__ import annotations

from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.etcd.upkeep import History, Sizes

OPTIONS = EtcdOptions(compact_seconds=100, keep_revisions=50)


def test_what_is_old_and_more_than_enough_is_compacted() -> None:
    history = History(OPTIONS)

    assert history.note(0, 1000) == 0
    assert history.note(99, 5000) == 0
    assert history.note(100, 6000) == 1000
    assert history.note(199, 6001) == 5000


def test_few_revisions_are_kept_however_old_they_are() -> None:
    history = History(OPTIONS)
    history.note(0, 1000)

    assert history.note(500, 1010) == 960
    assert History(OPTIONS).note(0, 10) == 0


def test_room_is_short_near_the_quota_alone() -> None:
    assert not Sizes(total=89, quota=100).is_short(0.9)
    assert Sizes(total=90, quota=100).is_short(0.9)
    assert not Sizes(total=90).is_short(0.9), "without a quota there is no limit"
