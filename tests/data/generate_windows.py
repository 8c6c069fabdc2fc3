"""The layer cases that slide a window: convolutions of every kind, and pooling."""

from keras import layers

from generate_cases import family

SERIES, PICTURE, VOLUME = (10, 3), (9, 11, 3), (5, 6, 7, 2)


def conv1d():
    add = family("conv1d", layers.Conv1D)
    add("valid", SERIES, 4, 3)
    add("same", SERIES, 4, 3, padding="same")
    add("causal", SERIES, 4, 3, padding="causal")
    add("strides", SERIES, 4, 3, strides=2)
    add("strides_same", (11, 3), 4, 3, strides=3, padding="same")
    add("strides_causal", SERIES, 4, 3, strides=2, padding="causal")
    add("dilation", SERIES, 4, 3, dilation_rate=2)
    add("dilation_same", SERIES, 4, 2, dilation_rate=3, padding="same")
    add("dilation_causal", SERIES, 4, 3, dilation_rate=2, padding="causal")
    add("groups", (10, 4), 6, 3, groups=2)
    add("no_bias", SERIES, 4, 3, use_bias=False)
    add("relu", SERIES, 4, 3, activation="relu")
    add("pointwise", SERIES, 5, 1)
    add("even_same", SERIES, 4, 4, padding="same")
    add("any_length", (None, 3), 4, 3, padding="same", sizes=[(13, 3)])


def conv2d():
    add = family("conv2d", layers.Conv2D)
    add("valid", PICTURE, 4, 3)
    add("same", PICTURE, 4, 3, padding="same")
    add("strides", PICTURE, 4, 3, strides=2)
    add("strides_same", PICTURE, 4, 3, strides=2, padding="same")
    add("strides_mixed", PICTURE, 4, 3, strides=(1, 3), padding="same")
    add("dilation", PICTURE, 4, 3, dilation_rate=2)
    add("dilation_same", PICTURE, 4, 3, dilation_rate=(2, 3), padding="same")
    add("groups", (9, 11, 4), 6, 3, groups=2)
    add("groups_same", (9, 11, 4), 8, 3, groups=4, padding="same")
    add("no_bias", PICTURE, 4, 3, use_bias=False)
    add("relu", PICTURE, 4, 3, activation="relu")
    add("sigmoid", PICTURE, 4, 3, activation="sigmoid", padding="same")
    add("softmax", PICTURE, 4, 3, activation="softmax")
    add("rectangular", PICTURE, 4, (2, 5))
    add("rectangular_same", PICTURE, 4, (4, 1), padding="same")
    add("pointwise", PICTURE, 5, 1)
    add("pointwise_strides", PICTURE, 5, 1, strides=2)
    add("even_same_strides", (8, 10, 2), 3, 2, strides=2, padding="same")
    add("stride_over_kernel", PICTURE, 4, 2, strides=3)
    add("whole_picture", (5, 6, 3), 4, (5, 6))
    add("many_channels", (5, 6, 20), 35, 3, padding="same")
    add("any_size", (None, None, 3), 4, 3, strides=2, padding="same", sizes=[(8, 7, 3)])
    add("channels_first", (3, 9, 11), 4, 3, data_format="channels_first", padding="same")
    add("channels_first_strides", (4, 9, 11), 4, 3, data_format="channels_first", strides=2)


def conv3d():
    add = family("conv3d", layers.Conv3D)
    add("valid", VOLUME, 3, 3)
    add("same", VOLUME, 3, 3, padding="same")
    add("strides", VOLUME, 3, 3, strides=2)
    add("strides_same", VOLUME, 3, 2, strides=(1, 2, 3), padding="same")
    add("dilation", VOLUME, 3, 2, dilation_rate=2)
    add("groups", VOLUME, 4, 2, groups=2)
    add("rectangular", VOLUME, 3, (1, 2, 3), activation="tanh")
    add("no_bias", VOLUME, 3, 2, use_bias=False)


def depthwise():
    add = family("depthwise_conv1d", layers.DepthwiseConv1D)
    add("valid", SERIES, 3)
    add("same", SERIES, 3, padding="same")
    add("strides", SERIES, 3, strides=2, padding="same")
    add("dilation", SERIES, 3, dilation_rate=2)
    add("multiplier", SERIES, 3, depth_multiplier=2)
    add("no_bias", SERIES, 3, use_bias=False, activation="relu")
    add = family("depthwise_conv2d", layers.DepthwiseConv2D)
    add("valid", PICTURE, 3)
    add("same", PICTURE, 3, padding="same")
    add("strides", PICTURE, 3, strides=2)
    add("strides_same", PICTURE, 2, strides=2, padding="same")
    add("dilation", PICTURE, 3, dilation_rate=2)
    add("multiplier", PICTURE, (2, 4), depth_multiplier=3, padding="same")
    add("no_bias", PICTURE, 3, use_bias=False, activation="relu")


def separable():
    add = family("separable_conv1d", layers.SeparableConv1D)
    add("valid", SERIES, 4, 3)
    add("same", SERIES, 4, 3, padding="same", depth_multiplier=2)
    add("strides", SERIES, 4, 3, strides=2, padding="same")
    add("dilation", SERIES, 4, 3, dilation_rate=2)
    add("no_bias", SERIES, 4, 3, use_bias=False, activation="relu")
    add = family("separable_conv2d", layers.SeparableConv2D)
    add("valid", PICTURE, 4, 3)
    add("same", PICTURE, 4, 3, padding="same", depth_multiplier=2)
    add("strides", PICTURE, 4, 3, strides=2, padding="same")
    add("dilation", PICTURE, 4, 3, dilation_rate=2)
    add("no_bias", PICTURE, 4, (2, 3), use_bias=False, activation="relu")


def transposed_common(add, shape, kernel):
    """What the transposed convolutions of every rank have in common."""
    add("valid", shape, 4, kernel)
    add("same", shape, 4, kernel, padding="same")
    add("strides", shape, 4, kernel, strides=2)
    add("strides_same", shape, 4, kernel, strides=2, padding="same")
    add("stride_over_kernel", shape, 4, 2, strides=3)
    add("stride_over_kernel_same", shape, 4, 2, strides=3, padding="same")
    add("even", shape, 4, 4, strides=2, padding="same")
    add("output_padding", shape, 4, kernel, strides=2, output_padding=1)
    add("output_padding_same", shape, 4, kernel, strides=2, padding="same", output_padding=1)
    add("output_padding_zero", shape, 4, kernel, strides=2, padding="same", output_padding=0)
    add("no_bias", shape, 4, kernel, use_bias=False, activation="relu")


def transposed():
    add = family("conv1d_transpose", layers.Conv1DTranspose)
    transposed_common(add, (6, 3), 3)
    add("dilation", (6, 3), 4, 3, dilation_rate=2)
    add = family("conv2d_transpose", layers.Conv2DTranspose)
    transposed_common(add, (4, 5, 3), 3)
    add("rectangular", (4, 5, 3), 4, (2, 5), strides=(1, 2), padding="same")
    add("dilation_same", (4, 5, 3), 4, 3, dilation_rate=2, padding="same")
    add("any_size", (None, None, 3), 4, 3, strides=2, padding="same", sizes=[(5, 3, 3)])
    add = family("conv3d_transpose", layers.Conv3DTranspose)
    add("valid", (3, 2, 4, 2), 3, 2)
    add("strides_same", (3, 2, 4, 2), 3, 3, strides=2, padding="same")
    add("rectangular", (3, 2, 4, 2), 3, (1, 2, 3), strides=(2, 1, 2))
    add("output_padding", (3, 2, 4, 2), 3, 2, strides=2, output_padding=1)


def pooling(kind):
    stem = f"{kind.lower()}_pooling"
    add = family(f"{stem}1d", getattr(layers, f"{kind}Pooling1D"))
    add("valid", (11, 3), 2)
    add("same", (11, 3), 2, padding="same")
    add("strides", (11, 3), 3, strides=2)
    add("strides_same", (10, 3), 3, strides=2, padding="same")
    add = family(f"{stem}2d", getattr(layers, f"{kind}Pooling2D"))
    add("valid", PICTURE, 2)
    add("same", PICTURE, 2, padding="same")
    add("strides", PICTURE, 3, strides=2)
    add("strides_same", PICTURE, 3, strides=2, padding="same")
    add("stride_one_same", PICTURE, 3, strides=1, padding="same")
    add("rectangular", PICTURE, (3, 2), strides=(1, 3), padding="same")
    add("stride_over_size", PICTURE, 2, strides=4)
    add("any_size", (None, None, 3), 2, sizes=[(7, 8, 3)])
    add("channels_first", (3, 9, 11), 2, data_format="channels_first", padding="same")
    add = family(f"{stem}3d", getattr(layers, f"{kind}Pooling3D"))
    add("valid", VOLUME, 2)
    add("same", VOLUME, 2, padding="same")
    add("strides", VOLUME, (2, 3, 2), strides=(1, 2, 3), padding="same")


def global_pooling(kind):
    stem = f"global_{kind.lower()}_pooling"
    for rank, shape in ((1, SERIES), (2, PICTURE), (3, VOLUME)):
        add = family(f"{stem}{rank}d", getattr(layers, f"Global{kind}Pooling{rank}D"))
        add("", shape)
        add("keepdims", shape, keepdims=True)
    add = family(f"{stem}2d", getattr(layers, f"Global{kind}Pooling2D"))
    add("any_size", (None, None, 3), sizes=[(5, 4, 3)])
    add("channels_first", (3, 9, 11), data_format="channels_first")


def register():
    for one in (conv1d, conv2d, conv3d, depthwise, separable, transposed):
        one()
    for kind in ("Max", "Average"):
        pooling(kind)
        global_pooling(kind)
