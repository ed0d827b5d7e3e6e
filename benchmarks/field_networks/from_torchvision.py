"""Torchvision's architectures: each family in a small member; detectors as far as they are deployed.

Left out are its quantized twins, networks of videos (three-dimensional kernels), optical flow (RAFT samples at places
it computes), and what stands behind a detector's heads: no accelerator runs it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import convnext, densenet, detection, efficientnet, maxvit, resnet, segmentation
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2
from torchvision.models.vision_transformer import VisionTransformer

from .layers import Networks, Shape

__all__ = ["TORCHVISION"]


class Detector(nn.Module):
    """Backbone and heads of a detector of torchvision's, without what prepares images and sorts boxes."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Any:
        return self.head(list(self.backbone(x).values()))


def named(name: str, **options: Any) -> Any:
    return partial(torchvision.models.get_model, name, weights=None, **options)


def whole(name: str, **options: Any) -> Any:
    """A network of segmentation or detection with no weights of its backbone either."""
    return partial(torchvision.models.get_model, name, weights=None, weights_backbone=None, **options)


def small_classifier(name: str) -> nn.Module:
    """AlexNet or VGG, whose 4096 wide classifier somebody has replaced by one for his ten classes."""
    net: Any = torchvision.models.get_model(name, weights=None)
    net.avgpool = nn.AdaptiveAvgPool2d(1)
    net.classifier = nn.Sequential(nn.Dropout(), nn.Linear(256 if name == "alexnet" else 512, 10))
    return net


def of_resnet(layers: list[int], block: Any = resnet.Bottleneck, **options: Any) -> nn.Module:
    return resnet.ResNet(block, layers, num_classes=10, **options)


def of_efficientnet(kind: str) -> nn.Module:
    plain, fused = efficientnet.MBConvConfig, efficientnet.FusedMBConvConfig
    if kind == "v1":
        rows = [plain(1, 3, 1, 16, 16, 1), plain(6, 3, 2, 16, 24, 2), plain(6, 5, 2, 24, 40, 2)]
    else:
        rows = [fused(1, 3, 1, 24, 24, 1), fused(4, 3, 2, 24, 32, 2), plain(4, 3, 2, 32, 48, 2)]
    return efficientnet.EfficientNet(rows, dropout=0.2, num_classes=10, last_channel=160)


def of_convnext() -> nn.Module:
    rows = [convnext.CNBlockConfig(32, 64, 1), convnext.CNBlockConfig(64, 96, 1), convnext.CNBlockConfig(96, None, 1)]
    return convnext.ConvNeXt(rows, num_classes=10, layer_scale=0.5)


def of_maxvit() -> nn.Module:
    return maxvit.MaxVit((64, 64), 16, 4, [16, 32], [1, 1], 8, 0.0, num_classes=10)


def of_swin(second: bool) -> nn.Module:
    extra: dict[str, Any] = {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2} if second else {}
    return SwinTransformer([4, 4], 32, [2, 1], [2, 4], [4, 4], num_classes=10, **extra)


def fcn(atrous: bool) -> nn.Module:
    backbone = torchvision.models.mobilenet_v2(weights=None).features
    parts = OrderedDict((str(i), layer) for i, layer in enumerate(backbone[:14]))
    getter = torchvision.models._utils.IntermediateLayerGetter(nn.Sequential(parts), {"13": "out"})
    head = segmentation.deeplabv3.DeepLabHead(96, 5) if atrous else segmentation.fcn.FCNHead(96, 5)
    return segmentation.FCN(getter, head)


def pyramid_detector(kind: str) -> nn.Module:
    backbone: Any = detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, trainable_layers=5, returned_layers=[2, 3, 4]
    )
    heads = {
        "retinanet": lambda: detection.retinanet.RetinaNetHead(256, 9, 4),
        "fcos": lambda: detection.fcos.FCOSHead(256, 1, 4, 2),
        "rpn": lambda: detection.rpn.RPNHead(256, 3),
    }
    return Detector(backbone, heads[kind]())


def ssdlite() -> nn.Module:
    net: Any = whole("ssdlite320_mobilenet_v3_large")(num_classes=5)
    return Detector(net.backbone, net.head)


def faster_rcnn() -> nn.Module:
    net: Any = whole("fasterrcnn_mobilenet_v3_large_320_fpn")(num_classes=5)
    return Detector(net.backbone, net.rpn.head)


_PLAIN: Mapping[str, Any] = {
    "resnet18": named("resnet18"),
    "googlenet": named("googlenet", aux_logits=False, init_weights=False),
    "googlenet-aux": named("googlenet", aux_logits=True, init_weights=False),
    "squeezenet1_0": named("squeezenet1_0"),
    "squeezenet1_1": named("squeezenet1_1"),
    "shufflenet_v2_x0_5": named("shufflenet_v2_x0_5"),
    "shufflenet_v2_x1_0": named("shufflenet_v2_x1_0"),
    "mobilenet_v2": named("mobilenet_v2"),
    "mobilenet_v3_small": named("mobilenet_v3_small"),
    "mobilenet_v3_large": named("mobilenet_v3_large"),
    "mnasnet0_5": named("mnasnet0_5"),
    "regnet_x_400mf": named("regnet_x_400mf"),
    "regnet_y_400mf": named("regnet_y_400mf"),
    "alexnet": partial(small_classifier, "alexnet"),
    "vgg11": partial(small_classifier, "vgg11"),
    "vgg13_bn": partial(small_classifier, "vgg13_bn"),
    "resnet-bottleneck": partial(of_resnet, [1, 1, 1, 1]),
    "resnet-dilated": partial(of_resnet, [1, 1, 2, 2], replace_stride_with_dilation=[False, True, True]),
    "resnext": partial(of_resnet, [1, 1, 1, 1], groups=32, width_per_group=4),
    "wide-resnet": partial(of_resnet, [1, 1, 1, 1], width_per_group=96),
    "densenet": partial(densenet.DenseNet, 16, (2, 3, 3, 2), 32, num_classes=10),
    "efficientnet": partial(of_efficientnet, "v1"),
    "efficientnet-v2": partial(of_efficientnet, "v2"),
    "convnext": of_convnext,
    "vit": partial(VisionTransformer, 64, 16, 2, 3, 96, 192, num_classes=10),
    "swin": partial(of_swin, False),
    "swin-v2": partial(of_swin, True),
    "maxvit": of_maxvit,
    "lraspp_mobilenet_v3_large": whole("lraspp_mobilenet_v3_large"),
    "deeplabv3_mobilenet_v3_large": whole("deeplabv3_mobilenet_v3_large"),
    "fcn-mobilenet_v2": partial(fcn, False),
    "deeplab-mobilenet_v2": partial(fcn, True),
    "fasterrcnn_mobilenet_v3_large_320_fpn": faster_rcnn,
    "ssdlite320_mobilenet_v3_large": ssdlite,
    "retinanet-resnet18": partial(pyramid_detector, "retinanet"),
    "fcos-resnet18": partial(pyramid_detector, "fcos"),
    "rpn-resnet18": partial(pyramid_detector, "rpn"),
}
_SIZES: Mapping[str, Shape] = {"inception_v3": (3, 96, 96), "ssdlite320_mobilenet_v3_large": (3, 128, 128)}
TORCHVISION: Networks = {
    f"torchvision/{name}": (make, (_SIZES.get(name, (3, 64, 64)),))
    for name, make in {**_PLAIN, "inception_v3": named("inception_v3", aux_logits=False, init_weights=False)}.items()
}
