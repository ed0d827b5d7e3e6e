"""The streamed regression against numpy's."""

import numpy as np
import torch

from workbench.surgery.least_squares import RIDGES, Regression, Scaling


def test_equals_lstsq():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 12, generator=generator).double() + 3
    t = torch.randn(400, 5, generator=generator).double() + x[:, :5] * 2
    fit = Regression()
    for i in range(0, 400, 50):
        fit.add(x[i : i + 50], t[i : i + 50], held_out=i == 350)
    weight, bias = fit.solve()
    reference, *_ = np.linalg.lstsq(np.c_[x.numpy(), np.ones(400)], t.numpy(), rcond=None)
    ours = np.linalg.norm(x.numpy() @ weight.numpy() + bias.numpy() - t.numpy())
    best = np.linalg.norm(np.c_[x.numpy(), np.ones(400)] @ reference - t.numpy())
    assert best <= ours < 1.0002 * best


def test_moments_are_those_of_the_fitted_values():
    x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)).double() + 1
    weight = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)).double()
    fit = Regression()
    fit.add(x, x @ weight)
    mean, var = fit.moments(weight)
    torch.testing.assert_close(mean, (x @ weight).mean(0))
    torch.testing.assert_close(var, (x @ weight).var(0, correction=0))


def test_few_rows_are_not_overfitted():
    """As many unknowns as rows and much noise: held-out rows choose a ridge that beats the smallest one."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(480, 120, generator=generator).double()
    truth = torch.randn(120, 4, generator=generator).double() * 0.1
    t = x @ truth + 2 * torch.randn(480, 4, generator=generator).double()
    fit, plain = Regression(), Regression()
    fit.add(x[:120], t[:120])
    fit.add(x[120:160], t[120:160], held_out=True)
    plain.add(x[:160], t[:160])
    new = slice(160, 480)

    def error(weight, bias):
        return float((x[new] @ weight + bias - x[new] @ truth).norm())

    assert error(*fit.solve()) < 0.7 * error(*plain._all.solve(plain._all.factor(RIDGES[0])))


def test_constant_features_do_no_harm():
    fit = Regression()
    fit.add(torch.ones(20, 3), torch.full((20, 2), 5.0))
    weight, bias = fit.solve()
    torch.testing.assert_close(torch.ones(1, 3).double() @ weight + bias, torch.full((1, 2), 5.0).double())


def test_weights_that_are_about_right_help_where_rows_are_few():
    """Right directions at the wrong scale of each target, and fewer rows than unknowns."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 120, generator=generator).double()
    truth = torch.randn(120, 4, generator=generator).double()
    near = (truth + 0.3 * torch.randn(120, 4, generator=generator).double()) * torch.tensor([0.2, 5.0, -1.0, 1.0])
    unlike = torch.randn(120, 4, generator=generator).double()
    fits = [Regression(), Regression(near), Regression(unlike)]
    for fit in fits:
        fit.add(x[:60], x[:60] @ truth + 1)
        fit.add(x[60:80], x[60:80] @ truth + 1, held_out=True)

    def error(weight, bias):
        return float((x[80:] @ weight + bias - x[80:] @ truth - 1).norm())

    alone, helped, misled = (error(*fit.solve()) for fit in fits)
    assert helped < 0.5 * alone
    assert misled < 1.1 * alone  # those that are not are left aside


def test_scales_alone_are_each_target_s_line():
    generator = torch.Generator().manual_seed(0)
    x, near = torch.randn(200, 9, generator=generator), torch.randn(9, 3, generator=generator)
    t = (x @ near).relu() * torch.tensor([2.0, -0.5, 7.0]) + torch.tensor([0.0, 3.0, -1.0])
    fit = Scaling(near)
    fit.add(x[:150], t[:150])
    fit.add(x[150:], t[150:], held_out=True)
    weight, bias = fit.solve()
    lines = [np.polyfit((x @ near)[:, i].numpy(), t[:, i].numpy(), 1) for i in range(3)]
    predicted = (x.double() @ weight + bias).numpy()
    np.testing.assert_allclose(
        predicted,
        [[a * z + b for (a, b), z in zip(lines, row, strict=True)] for row in (x @ near).numpy()],
        rtol=1e-4,
        atol=1e-4,
    )
    mean, var = fit.moments(weight)
    torch.testing.assert_close(mean, (x.double() @ weight).mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(var, (x.double() @ weight).var(0, correction=0), rtol=1e-4, atol=1e-5)
