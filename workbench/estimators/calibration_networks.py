"""The networks calibration measures: timm's convolutional backbones by family, and random ones between them."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import zip_longest

from ..errors import TraceError, unknown
from ..graph import Graph
from ..hardware.lowering import lower, unsupported
from .random_networks import sample

__all__ = ["ATTENTION", "FAMILIES", "backbone", "calibration_networks", "with_attention"]

# family = timm source module: what is held out together in every accuracy figure
FAMILIES: Mapping[str, str] = {
    "byobnet": (
        "repvgg_a0 mobileone_s0 mobileone_s1 gernet_s resnext26ts gcresnext26ts regnetz_b16 repvgg_b0 "
        "gernet_m resnet32ts"
    ),
    "convmixer": "convmixer_768_32",
    "cspnet": (
        "darknet53 cspdarknet53 cspresnet50 cs3darknet_s cs3darknet_m cs3darknet_focus_s darknet17 "
        "cspresnext50 darknetaa53"
    ),
    "densenet": "densenet121 densenet169 densenetblur121d densenet201",
    "dla": "dla34 dla46_c dla60x_c dla46x_c dla60",
    "dpn": "dpn48b dpn68",
    "efficientnet": (
        "mobilenetv2_100 mnasnet_100 efficientnet_b0 efficientnet_lite0 mobilenetv2_050 tinynet_e mixnet_s "
        "fbnetc_100 spnasnet_100 efficientnet_es mobilenetv2_140 efficientnet_b1 tf_efficientnet_lite1 "
        "semnasnet_075 efficientnetv2_rw_t tf_efficientnetv2_b0"
    ),
    "fasternet": "fasternet_t0 fasternet_t1",
    "ghostnet": "ghostnet_100 ghostnet_050 ghostnetv2_100 ghostnet_130 ghostnetv3_100",
    "hardcorenas": "hardcorenas_a hardcorenas_c",
    "hgnet": "hgnetv2_b0 hgnetv2_b1 hgnetv2_b2 hgnet_tiny hgnetv2_b3",
    "hrnet": "hrnet_w18_small hrnet_w18_small_v2",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "mobilenetv3": (
        "mobilenetv3_large_100 mobilenetv3_small_100 mobilenetv4_conv_small lcnet_050 fbnetv3_b "
        "mobilenetv3_rw mobilenetv4_conv_medium lcnet_100 mobilenetv3_small_050 "
        "tf_mobilenetv3_large_minimal_100"
    ),
    "nasnet": "nasnetalarge",
    "nfnet": "nf_regnet_b0 nf_resnet50 nf_regnet_b1",
    "regnet": (
        "regnetx_002 regnetx_004 regnety_002 regnetx_016 regnety_008 regnetx_032 regnetv_040 regnety_016 regnetz_005"
    ),
    "repghost": "repghostnet_050 repghostnet_100 repghostnet_200",
    "repvit": "repvit_m0_9 repvit_m1_1",
    "res2net": "res2net50_26w_4s res2net50d res2next50",
    "resnest": "resnest14d resnest26d",
    "resnet": (
        "resnet18 resnet50 resnet10t resnext50_32x4d seresnet50 wide_resnet50_2 resnet34 resnet26d "
        "ecaresnet50t resnet14t seresnet18 resnet18d resnet26t"
    ),
    "resnetv2": "resnetv2_50 resnetv2_18 resnetv2_34d resnetv2_50d",
    "rexnet": "rexnet_100 rexnetr_200 rexnet_150 rexnet_130",
    "selecsls": "selecsls42 selecsls60b selecsls42b",
    "senet": "legacy_seresnet18 legacy_seresnet50",
    "sknet": "skresnet18 skresnet34",
    "starnet": "starnet_s1 starnet_s2 starnet_s4",
    "tresnet": "tresnet_m",
    "vgg": "vgg11_bn vgg11",
    "vovnet": "ese_vovnet19b_dw vovnet39a ese_vovnet39b ese_vovnet19b_slim_dw",
    "xception": "legacy_xception",
    "xception_aligned": "xception41 xception41p",
}

# Networks with attention or layer norms that the Ethos-U compiler takes whole.
ATTENTION: Mapping[str, str] = {
    "cait": "cait_xxs24_224",
    "coat": "coat_lite_tiny",
    "convit": "convit_tiny",
    "convnext": "convnext_atto test_convnext convnext_tiny",
    "deit": "deit_tiny_patch16_224",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "fastvit": "fastvit_sa12 fastvit_mci0",
    "focalnet": "focalnet_tiny_srf",
    "hiera": "hiera_tiny_224",
    "levit": "levit_128s",
    "mambaout": "mambaout_femto",
    "maxxvit": "maxvit_rmlp_pico_rw_256 coatnet_nano_rw_224",
    "metaformer": "convformer_s18",
    "mlp_mixer": "mixer_s32_224 resmlp_12_224",
    "mobilenetv3": "mobilenetv4_hybrid_medium",
    "mobilevit": "mobilevitv2_050 mobilevit_xxs",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "pvt_v2": "pvt_v2_b0",
    "rdnet": "rdnet_tiny",
    "shvit": "shvit_s1",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "tiny_vit": "tiny_vit_5m_224",
    "twins": "twins_svt_small",
    "vision_transformer": "test_vit vit_tiny_patch16_224",
    "visformer": "visformer_tiny",
}

NetworkSource = tuple[str, str, Callable[[], Graph | None]]  # name, family, function that builds the graph


def with_attention(n: int) -> Iterator[NetworkSource]:
    """The first n of the calibration networks, every fifth one of `ATTENTION` while there are more."""
    attention = iter([(name, family) for family, names in ATTENTION.items() for name in names.split()])
    others = calibration_networks(n)
    for i in range(n):
        pair = next(attention, None) if i % 5 == 4 else None
        yield next(others) if pair is None else (*pair, partial(backbone, pair[0]))


def calibration_networks(n: int) -> Iterator[NetworkSource]:
    """The first n convolutional networks as (name, family, function that builds the graph): families in turn, a
    random one after each.

    A graph is None where an operator has no int8 form.
    """
    rounds = zip_longest(*([(name, family) for name in names.split()] for family, names in FAMILIES.items()))
    real = [pair for pairs in rounds for pair in pairs if pair is not None]
    for i in range(n):
        if i % 2 == 0 and i // 2 < len(real):
            name, family = real[i // 2]
            yield name, family, partial(backbone, name)
        else:
            seed = i // 2 if i // 2 < len(real) else i - len(real)
            yield f"sample{seed}", "sample", partial(sample, seed)


def backbone(name: str) -> Graph | None:
    """A timm model's graph at its own input size; None where an operator has no int8 form. UnknownName for others."""
    import timm

    from ..graph.trace import trace

    if not timm.is_model(name):
        raise unknown("timm model", name, timm.list_models())
    model = timm.create_model(name)
    size = timm.data.resolve_model_data_config(model)["input_size"]
    try:
        graph = trace(model, size)
    except TraceError:
        return None
    return graph if not unsupported(lower(graph)) else None
