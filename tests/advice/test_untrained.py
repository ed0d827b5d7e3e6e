"""Of weights that were never learned no loss is shown, and advice does not depend on what they happen to be."""

import math

import pytest
import timm
import torch
from torch import Tensor, nn

import workbench as wb
from workbench.state.untrained import is_untrained

from ..surgery.test_trial import lively


def separable(i: int, o: int) -> list[nn.Module]:
    return [nn.Conv2d(i, i, 3, padding=1, groups=i), nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, o, 1), nn.ReLU()]


def spotting(seed: int) -> nn.Module:
    """Key words in a spectrogram of 49 x 10 (Zhang et al., 2017), smaller."""
    torch.manual_seed(seed)
    stem = [nn.Conv2d(1, 40, (10, 4), 2, (5, 1)), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 12)]
    return nn.Sequential(*stem, nn.Sequential(*separable(40, 40)), nn.Sequential(*separable(40, 40)), *head).eval()


def plain(seed: int) -> nn.Module:
    """Without norms."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 40, 3, 2, 1), nn.ReLU(), nn.Conv2d(40, 56, 3, padding=1), nn.ReLU(), nn.Conv2d(56, 4, 1)
    ).eval()


@pytest.mark.parametrize("network", [spotting, plain])
def test_the_plan_is_the_same_whatever_the_weights(network) -> None:
    sessions = [wb.open(network(seed), target="ethos-u65-512", input_size=(1, 49, 10)) for seed in range(2)]
    budget = 0.85 * sessions[0].estimate.latency_ms
    plans = [session.meet(latency_ms=budget) for session in sessions]
    assert len({plan.steps[0].transform for plan in plans}) == 1
    assert len({tuple(step.transform for step in plan.steps) for plan in plans}) == 1
    assert sessions[0].meet(latency_ms=budget).steps == plans[0].steps  # whatever was compiled in between
    for session, plan in zip(sessions, plans, strict=True):
        assert plan.estimate.latency_ms <= budget
        assert plan.undo() == session
        text = plan.history.recipe.iloc[-1]
        assert text == f"meet(latency_ms={budget:g}): the weights are untrained, so no loss is predicted"
        assert text in repr(plan)


def test_no_loss_is_shown_or_ranked_by() -> None:
    tables = [wb.open(spotting(seed), target="ethos-u65-512", input_size=(1, 49, 10)).suggest(5) for seed in (0, 1)]
    for table in tables:
        assert table.loss.isna().all()
        assert table.gain_per_loss.isna().all()
        assert table.latency_ms.is_monotonic_increasing
        assert table.attrs["note"].startswith("the weights are untrained")
    assert list(tables[0].steps) == list(tables[1].steps)


def test_where_weights_have_values_the_loss_is_shown() -> None:
    session = wb.open(lively(spotting(0)), target="ethos-u65-512", input_size=(1, 49, 10))
    table = session.suggest(3)
    assert table.loss.notna().all()
    assert "note" not in table.attrs
    budget = 0.85 * session.estimate.latency_ms
    plan = session.meet(latency_ms=budget)
    words, _, loss = plan.history.recipe.iloc[-1].rpartition(" ")
    assert words == f"meet(latency_ms={budget:g}): predicted loss"
    assert 0 <= float(loss) < 2
    learned = wb.open(spotting(0), target="ethos-u65-512", input_size=(1, 49, 10)).with_weights(lively(spotting(0)))
    assert not learned.untrained
    assert learned.undo().untrained


def seen(module: nn.Module) -> nn.Module:
    module.train()(torch.rand(2, 3, 32, 32))
    return module


def learned(module: nn.Module) -> nn.Module:
    """One step of plain gradient descent."""
    x: Tensor = module.train()(torch.rand(2, 3, 32, 32))
    x.square().sum().backward()
    with torch.no_grad():
        for p in module.parameters():
            p -= 0.1 * p.grad
    return module


def small(norm: type[nn.Module] | None) -> nn.Module:
    torch.manual_seed(0)
    norms = [] if norm is None else [norm(16)]
    return nn.Sequential(nn.Conv2d(3, 16, 3), *norms, nn.ReLU(), nn.Conv2d(16, 4, 3))


def test_what_was_learned_shows() -> None:
    assert is_untrained(small(None))
    assert is_untrained(small(nn.BatchNorm2d))
    assert is_untrained(timm.create_model("resnet10t"))  # branches end in norms of zero
    assert is_untrained(timm.create_model("convnext_atto"))
    assert not is_untrained(seen(small(nn.BatchNorm2d)))
    assert not is_untrained(learned(small(None)))
    assert not is_untrained(nn.Sequential(nn.ReLU()))


def test_names_and_checkpoints(tmp_path) -> None:
    from safetensors.torch import save_file

    assert wb.open("test_resnet", input_size=(3, 32, 32)).untrained
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "some.safetensors")
    given = wb.open("test_resnet", input_size=(3, 32, 32), checkpoint=tmp_path / "some.safetensors")
    assert not given.untrained
    assert math.isfinite(given.suggest(1).loss.iloc[0])
