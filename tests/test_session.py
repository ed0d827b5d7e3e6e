"""Sessions: nothing changes under the user's hands, undo is exact, files bring everything back."""

import io
import zipfile

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.errors import FileFormatError, InputError, NotApplicable, UnknownName
from workbench.hardware.onnx_timing import open_session
from workbench.hardware.tflite import write_tflite

SIZE = (3, 64, 64)


@pytest.fixture(scope="module")
def session() -> wb.Session:
    return wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=SIZE)


@pytest.fixture(scope="module")
def fused(session) -> wb.Session:
    return session.apply(wb.FuseIBN(blocks="blocks.1.*"))


class Net(torch.nn.Module):
    """A module of one's own: two convolutions, a pooled head."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, width, 3, 2, 1), torch.nn.ReLU())
        self.body = torch.nn.Sequential(torch.nn.Conv2d(width, 2 * width, 3, 2, 1), torch.nn.ReLU())
        self.head = torch.nn.Linear(2 * width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.stem(x)).mean((2, 3)))


# ---- opening ---------------------------------------------------------------------------------------------------------


def test_two_opens_are_the_same_model(session):
    state = torch.random.get_rng_state()
    again = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=SIZE)
    assert torch.equal(state, torch.random.get_rng_state())  # the user's own random numbers go on as they would
    assert again.graph == session.graph
    assert again.estimate == session.estimate
    for key, value in again.base.module.state_dict().items():
        assert torch.equal(value, session.base.module.state_dict()[key]), key


def test_a_module_of_ones_own_is_copied():
    torch.manual_seed(0)
    net = Net().train()
    own = wb.open(net, input_size=(3, 32, 32))
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = net(image)
        net.stem[0].weight.zero_()
        assert torch.equal(own.build()(image), expected)
    assert net.training
    assert all(p.requires_grad for p in net.parameters())


def test_a_checkpoint_brings_its_weights(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(3)
    other = Net()
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    own = wb.open(Net(), input_size=(3, 32, 32), checkpoint=tmp_path / "other.safetensors")
    assert torch.equal(own.build().head.weight, other.head.weight)
    assert own.base.weights == "checkpoint"


def test_grey_pictures_are_read_by_a_timm_model_opened_by_name(tmp_path):
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(1, 64, 64))
    assert session.graph.inputs[0].shape == (1, 1, 64, 64)
    edited = session.apply(wb.FuseIBN("blocks.1.*"), wb.DepthMultiplier(0.75))
    again = wb.load(edited.save(tmp_path / "grey.wb"))
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(again.build()(image), edited.build()(image))


def test_a_session_on_a_target_in_its_design_phase_comes_back(tmp_path):
    target = wb.Target.ethos_u(macs=384, clock_mhz=800, dram_gbps=6.4)
    again = wb.load(wb.open(Net(), target=target, input_size=(3, 32, 32)).save(tmp_path / "own.wb"), model=Net())
    assert again.target == target and again.target.digest == target.digest


# ---- steps -----------------------------------------------------------------------------------------------------------


def test_apply_leaves_the_session_as_it_was(session, fused):
    graph, steps = session.graph, session.steps
    assert fused.graph != graph
    assert session.graph is graph
    assert session.steps == steps == ()
    assert "EdgeResidual" in {block.cls for block in fused.graph.blocks} or "fused-ibn" in set(fused.blocks["kind"])


def test_undo_and_redo_are_exact(session, fused):
    before, after = session.estimate, fused.estimate
    back = fused.undo()
    assert back == session
    assert back.estimate == before
    assert back.estimate.ops.equals(before.ops)
    assert back.redo() == fused
    assert back.redo().estimate == after
    assert back.redo().undo().redo() == fused
    with pytest.raises(InputError, match="nothing to undo"):
        session.undo()
    with pytest.raises(InputError, match="nothing to redo"):
        fused.redo()
    assert back.apply(wb.EvenChannels()).undone == ()  # another way was taken: what was undone is gone
    with pytest.raises(InputError, match="nothing to redo"):
        back.apply(wb.EvenChannels()).redo()


def test_undo_gives_what_a_fresh_estimate_gives(session, fused):
    fresh = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=SIZE)
    assert fused.undo().estimate == fresh.estimate


def test_preview_is_the_difference_apply_makes(session, fused):
    delta = session.preview(wb.FuseIBN(blocks="blocks.1.*"))
    assert delta.latency_ms == pytest.approx(fused.estimate.latency_ms - session.estimate.latency_ms)
    assert delta.latency_percent == pytest.approx(100 * (fused.estimate.latency_ms / session.estimate.latency_ms - 1))
    assert delta.macs == fused.graph.macs - session.graph.macs > 0
    assert delta.params == fused.graph.params - session.graph.params
    assert "estimated" in repr(delta)
    assert "<table" in delta._repr_html_()


def test_a_change_that_does_not_apply_changes_nothing(fused):
    before = fused.graph
    with pytest.raises(NotApplicable):
        fused.apply(wb.FuseIBN(blocks="blocks.0.0"))
    assert fused.graph is before


def test_apply_takes_several_changes_and_undo_one_at_a_time(session, fused):
    both = session.apply(wb.FuseIBN(blocks="blocks.1.*"), wb.EvenChannels(multiple=16))
    assert both.undo() == fused
    assert both.graph == fused.apply(wb.EvenChannels(multiple=16)).graph
    assert list(both.history["transform"]) == [
        "opened",
        "FuseIBN(blocks='blocks.1.*')",
        "EvenChannels(direction='nearest', multiple=16, blocks='*', importance='magnitude', "
        "sram_kib=None, model_kib=None)",
    ]
    assert both.history["latency_ms"].iloc[-1] == both.estimate.latency_ms
    assert both.history["change_ms"].sum() == pytest.approx(both.estimate.latency_ms - session.estimate.latency_ms)


def test_compare_says_which_figures_are_estimated(session, fused):
    table = fused.compare(session)
    assert table.loc["latency_ms", "before"] == session.estimate.latency_ms
    assert table.loc["latency_ms", "after"] == fused.estimate.latency_ms
    assert table.loc["params", "after"] == sum(p.numel() for p in fused.build().parameters())
    assert set(table["figures"]) == {"estimated", "counted"}
    assert fused.compare().equals(table)


def test_notes_stay_through_undo(fused):
    noted = fused.annotate("blocks.2.0", "fusing this one costs accuracy")
    assert fused.annotations == ()
    assert noted.undo().annotations == noted.annotations == (("blocks.2.0", "fusing this one costs accuracy"),)
    assert noted.undo().redo().annotations == noted.annotations
    with pytest.raises(UnknownName, match=r"'blocks\.2\.00'; the nearest is 'blocks\.2\.0'"):
        fused.annotate("blocks.2.00", "x")


def test_another_target_keeps_the_network(fused):
    other = fused.on("ethos-u55-128")
    assert other.graph is fused.graph
    assert other.target.name == other.estimate.target == "ethos-u55-128"
    assert other.undo().target.name == "ethos-u55-128"
    assert other.on("ethos-u65-512") == fused
    assert other.to_recipe().target == "ethos-u65-512"  # where it was planned


def test_the_repr_is_short_and_says_estimated(fused):
    assert repr(fused).startswith("<Session mobilenetv2_050 3x64x64 on ethos-u65-512: ")
    assert "estimated" in repr(fused)
    assert "0x" not in repr(fused)


def test_blocks_are_the_graphs(session):
    assert list(session.blocks["name"]) == [block.name for block in session.graph.blocks]
    assert session.blocks["macs"].sum() == session.graph.macs


# ---- what comes out --------------------------------------------------------------------------------------------------


def test_build_has_the_graphs_parameters(fused):
    model = fused.build(calibration=torch.randn(4, *SIZE, generator=torch.Generator().manual_seed(0)))
    assert type(model).__name__ == "EfficientNet"
    assert sum(p.numel() for p in model.parameters()) == fused.graph.params
    assert model(torch.randn(2, *SIZE)).shape == (2, 1000)
    assert all(p.requires_grad for p in model.parameters())  # ready to be trained


def test_fidelity_ends_with_the_whole_network(session):
    images = torch.randn(4, *SIZE, generator=torch.Generator().manual_seed(0))
    table = session.apply(wb.DenseDepthwise(blocks="blocks.1.*")).fidelity(images)
    assert table["relative_error"].iloc[-1] < 1e-4
    with pytest.raises(InputError, match=r"a tensor \[N, 3, 64, 64\]"):
        session.fidelity(torch.randn(4, 1, 64, 64))


def test_verify_stands_beside_the_estimate(fused):
    before = fused.estimate
    result = fused.verify()
    assert result.status == "compiled", result.reason
    assert result.estimate == before
    assert result.error_percent == pytest.approx(100 * (before.latency_ms / result.latency_ms - 1))
    assert "compiled" in repr(result) and "estimated" in repr(result) and "compiler cycle model" in repr(result)
    assert list(result.table.columns) == ["estimated", "compiled", "difference %"]


def test_what_a_device_took_is_no_compilers_word():
    result = wb.open("lcnet_050", target="onnxruntime-cpu", input_size=(3, 64, 64)).verify()
    assert result.status == "measured"
    assert "onnxruntime" in repr(result) and "compiler" not in repr(result)


def test_onnx_computes_what_the_model_computes(fused, tmp_path):
    path = tmp_path / "fused.onnx"
    assert list(fused.export(path)["file"]) == ["fused.onnx"]
    image = torch.randn(1, *SIZE)
    run = open_session(str(path))
    (out,) = run.run(None, {run.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        expected = fused.build()(image).numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match=r"the nearest supported format is fused\.onnx"):
        fused.export(tmp_path / "fused.onnxx")
    assert [p.name for p in tmp_path.iterdir()] == ["fused.onnx"]


def test_share_writes_one_page(fused, tmp_path):
    path = fused.annotate("blocks.2.0", "<script>alert(1)</script>").share(tmp_path / "fused.html")
    text = path.read_text(encoding="utf-8")
    assert "mobilenetv2_050" in text
    assert "<script>alert(1)" not in text
    with pytest.raises(InputError, match=r"try fused\.html"):
        fused.share(tmp_path / "fused.pdf")


# ---- session files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(fused, tmp_path_factory) -> tuple[wb.Session, "object"]:
    session = fused.apply(wb.Recipe("mine", (wb.DepthMultiplier(ratio=0.75), wb.EvenChannels(multiple=16))))
    session = session.annotate("blocks.2.0", "note: «ok»\n")
    return session, session.save(tmp_path_factory.mktemp("saved") / "tuned.wb")


def test_a_loaded_session_is_the_saved_one(saved):
    session, path = saved
    again = wb.load(path)
    assert again.graph == session.graph
    assert again.estimate == session.estimate
    assert [step.transform for step in again.steps] == [step.transform for step in session.steps]
    assert again.annotations == session.annotations
    assert list(again.notes.since) == list(session.notes.since) == ["as it was"]
    assert again.undo().graph == session.undo().graph
    assert again.undo().undo().estimate == session.baseline.estimate
    assert again.undo().redo() == again
    for key, value in session.base.module.state_dict().items():
        assert torch.equal(value, again.base.module.state_dict()[key]), key


def test_equal_sessions_make_equal_files(saved, tmp_path):
    _, path = saved
    assert wb.load(path).save(tmp_path / "again.wb").read_bytes() == path.read_bytes()


def test_a_session_seen_on_another_target_comes_back(fused, tmp_path):
    other = fused.on("ethos-u55-128")
    again = wb.load(other.save(tmp_path / "other.wb"))
    assert again.graph == fused.graph
    assert again.target == other.target
    assert again.to_recipe() == other.to_recipe()


def test_a_configuration_of_ones_own_comes_back(tmp_path):
    target = wb.Target.ethos_u("ethos-u55-256", arena_bytes=512 * 1024)
    session = wb.open(Net(), target=target, input_size=(3, 32, 32))
    again = wb.load(session.save(tmp_path / "own.wb"), model=Net())
    assert again.target == target
    assert again.target.digest == target.digest


def test_a_custom_module_is_given_and_checked(tmp_path):
    torch.manual_seed(1)
    net = Net()
    path = wb.open(net, input_size=(3, 32, 32)).apply(wb.DepthMultiplier(ratio=0.5)).save(tmp_path / "own.wb")
    again = wb.load(path, model=Net())
    assert torch.equal(again.base.module.head.weight, net.head.weight)  # the file's weights, not the given module's
    with pytest.raises(InputError, match=r"load\(path, model=...\)"):
        wb.load(path)
    with pytest.raises(FileFormatError, match="where"):
        wb.load(path, model=Net(8))

    class Other(Net):
        def forward(self, x):
            return super().forward(x).abs()

    with pytest.raises(InputError, match="another graph"):
        wb.load(path, model=Other())


def _rewritten(path, tmp_path, **changes: bytes):
    """A copy of a session file with members replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    out = tmp_path / "changed.wb"
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in (members | {k.replace("__", "."): v for k, v in changes.items()}).items():
            archive.writestr(name, data)
    return out


def test_a_session_of_another_compiler_is_estimated_anew_and_says_so(saved, tmp_path):
    session, path = saved
    with zipfile.ZipFile(path) as archive:
        text = archive.read("session.yaml").decode()
    line = f"compiler: {session.target.compiler}"
    assert line in text and session.target.compiler.startswith("vela ")
    older = _rewritten(path, tmp_path, session__yaml=text.replace(line, "compiler: vela 3.0.0").encode())
    with pytest.warns(UserWarning, match=r"^changed.wb was saved with vela 3\.0\.0, here is vela .* estimated anew"):
        again = wb.load(older)
    assert again.estimate == session.estimate
    unsaid = _rewritten(path, tmp_path, session__yaml=text.replace(f"  {line}\n", "").encode())
    assert wb.load(unsaid).estimate == session.estimate  # a file from before it was written down


def test_damaged_session_files_are_refused(saved, tmp_path):
    _, path = saved
    data = path.read_bytes()
    cut = tmp_path / "cut.wb"
    for end in (0, 1, 100, len(data) // 2, len(data) - 1):
        cut.write_bytes(data[:end])
        with pytest.raises(FileFormatError, match=r"^[^\n]*$"):
            wb.load(cut)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    cut.write_bytes(flipped)
    with pytest.raises(FileFormatError):
        wb.load(cut)
    with zipfile.ZipFile(path) as archive:
        text = archive.read("session.yaml").decode()
    for old, new, said in [
        ("version: 1", "version: 9", "version 9"),
        ("transform: FuseIBN", "transform: FuseIBM", "the nearest is 'FuseIBN'"),
        ("input_size:", "input_sise:", "the nearest is 'input_size'"),
        ("ethos-u65-512", "ethos-u65-521", "the nearest is 'ethos-u65-512'"),
        ("mobilenetv2_050", "mobilenetv2_100", "does not fit"),
        ("blocks.1.*", "blocks.1.9", "blocks.1.9"),
        ("- 64\n- 64", "- 64\n- -64", "input_size"),
    ]:
        assert old in text
        with pytest.raises((FileFormatError, UnknownName), match=said):
            wb.load(_rewritten(path, tmp_path, session__yaml=text.replace(old, new).encode()))


def test_a_zip_bomb_is_not_unpacked(saved, tmp_path):
    _, path = saved
    bomb = tmp_path / "bomb.wb"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("session.yaml", b"version: 1")
        archive.writestr("weights.safetensors", bytes(50_000_000))
    with pytest.raises(FileFormatError, match="compressed"):
        wb.load(bomb)
    with pytest.raises(FileFormatError, match="bytes, at most"):
        wb.load(_rewritten(path, tmp_path, session__yaml=b"#" * 2_000_000))


def test_a_pickle_is_not_opened(tmp_path):
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    (tmp_path / "old.wb").write_bytes(buffer.getvalue())
    with pytest.raises(FileFormatError, match="is no session"):
        wb.load(tmp_path / "old.wb")
    (tmp_path / "old.pt").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="safetensors"):
        wb.open(Net(), input_size=(3, 32, 32), checkpoint=tmp_path / "old.pt")


def test_a_deployed_file_is_a_baseline(tmp_path):
    session = wb.open("mobilenetv2_050", target="ethos-u55-128", input_size=(3, 64, 64))
    file = tmp_path / "deployed.tflite"
    file.write_bytes(write_tflite(session.graph).data)
    table = session.apply(wb.DepthMultiplier(ratio=0.5)).compare(session.target.measure(file))
    assert table.loc["latency_ms", "figures"] == "compiled, estimated"
    assert table.loc["latency_ms", "before"] == pytest.approx(session.verify().latency_ms)
    assert table.loc["latency_ms", "change %"] < -20
    assert "params" not in table.index  # the compiler does not say
    file.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="there is nothing to compare with: the file was"):
        session.compare(session.target.measure(file))
