"""Budgets, prices, and the time that counts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig, config_from_json, config_to_json
from engine.core.protocol.spending import KEEP_SECONDS, Budget, Price, SpentTime, read_price, read_spent, write_price


def test_the_limit_that_is_reached_first_counts() -> None:
    price = Price(2.0, "€")
    assert not Budget() and Budget().share(1e9, price) == 0
    assert Budget(hours=3).share(5400, price) == 0.5
    assert Budget(hours=3, cost=3).share(5400, price) == 1.0
    assert Budget(cost=3).share(5400, Price()) == 0, "without a price no money is spent"
    assert Budget(3, 10).spent(5400, price) == "1.5 / 3 h, 3.00 / 10 €"


def test_time_goes_on_where_the_last_process_ended(tmp_path: Path) -> None:
    path = tmp_path / "spent.json"
    first = SpentTime(path)
    assert not first.found
    first.add(100)
    with first.stopped():
        before = first.seconds
        time.sleep(0.05)
        assert first.seconds == before
    time.sleep(0.05)
    first.keep()
    kept = read_spent(path)
    assert kept is not None and 100.04 < kept < 101
    first.add(1000)
    first.keep()
    assert read_spent(path) == kept, f"it is written every {KEEP_SECONDS} s"
    first.keep(now=True)
    again = SpentTime(path)
    assert again.found and 1100 < again.seconds < 1102


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"seconds": "x"}', '{"seconds": -1}', '{"seconds": NaN}',
                                  '{"seconds": 1' + "0" * 400 + "}"])
def test_a_damaged_file_does_not_begin_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spent.json"
    path.write_text(text)
    with pytest.raises(UserError, match="not known how much of the budget is spent"):
        SpentTime(path)


def test_a_price_lies_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "price.json"
    assert read_price(path) == Price()
    write_price(path, Price(0.79, "€"))
    assert read_price(path) == Price(0.79, "€")
    write_price(path, Price())
    assert not path.exists()
    path.write_text('{"per_hour": "much"}')
    assert read_price(path) == Price()


def test_earlier_versions_see_a_budget_only_where_there_is_one() -> None:
    assert not {"budget_hours", "budget_cost"} & set(config_to_json(TrainConfig()))
    values = config_to_json(TrainConfig(budget_hours=2))
    assert values["budget_hours"] == 2 and config_from_json(values).budget_hours == 2
