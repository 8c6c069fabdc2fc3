"""Hostile files, continued: weights that reach outside the file, are larger than any memory, go
round in circles, or are not what the layers need."""

import io
import zlib

import h5py
import keras
import numpy as np
from keras import Input, Model, layers

import generate_common as common
from generate_hostile import base_archive, hostile, layer_of, members_of, pack, with_config

KERNEL, BIAS = "layers/dense/vars/0", "layers/dense/vars/1"
NEXT_KERNEL = "layers/dense_1/vars/0"


def with_weights(change, archive=None):
    """The base file after `change(file)`, where file is its open HDF5 file."""
    members = members_of(archive or base_archive())
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        change(file)
    members["model.weights.h5"] = content.getvalue()
    return pack(members.items())


def with_kernel(**dataset):
    """The base file with another dataset in place of the first kernel, which is (8, 4)."""

    def change(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, **dataset)

    return with_weights(change)


def with_link(link):
    """The base file with a link in place of the first kernel."""

    def change(file):
        file["spare"] = file[KERNEL][()]
        del file[KERNEL]
        file[KERNEL] = link

    return with_weights(change)


def with_raw_weights(content):
    return pack((members_of(base_archive()) | {"model.weights.h5": content}).items())


@hostile("external")
def h5_external_link():
    return with_link(h5py.ExternalLink("other.h5", "/kernel"))


@hostile("link")
def h5_soft_link():
    """The link leads to a kernel of the right shape."""
    return with_link(h5py.SoftLink("/spare"))


@hostile("link")
def h5_soft_link_to_itself():
    return with_link(h5py.SoftLink("/" + KERNEL))


@hostile("external")
def h5_external_storage():
    """The weights are the first bytes of a file on the reader's machine."""
    return with_kernel(shape=(8, 4), dtype="f4", external=[("/etc/passwd", 0, 128)])


@hostile("virtual")
def h5_virtual_dataset():
    """The kernel is a view of another file's dataset."""

    def change(file):
        del file[KERNEL]
        space = h5py.h5s.create_simple((8, 4))
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_obj_track_times(False)  # or the file would hold the time of its making
        options.set_virtual(space, b"other.h5", b"kernel", space)
        group, name = KERNEL.rsplit("/", 1)
        h5py.h5d.create(file[group].id, name.encode(), h5py.h5t.IEEE_F32LE, space, options)

    return with_weights(change)


@hostile("dense|1048576")
def h5_shape_bomb():
    """A kernel of 4 TiB without data."""
    return with_kernel(shape=(1 << 20, 1 << 20), dtype="f4", chunks=(1, 1 << 10))


@hostile("dense|GiB")
def h5_shape_bomb_consistent():
    """A kernel of 4 TiB without data, in a model that asks for just that."""
    size = 1 << 20

    def change_config(config):
        layer_of(config, "values")["config"]["batch_shape"] = [None, size]
        layer_of(config, "dense")["config"]["units"] = size
        for name in ("dense", "dense_1"):
            layer_of(config, name)["build_config"] = {"input_shape": [None, size]}

    def change_weights(file):
        del file[KERNEL], file[BIAS], file[NEXT_KERNEL]
        file.create_dataset(KERNEL, shape=(size, size), dtype="f4", chunks=(1, 1 << 10))
        file.create_dataset(BIAS, shape=(size,), dtype="f4", chunks=(1 << 10,))
        file.create_dataset(NEXT_KERNEL, shape=(size, 2), dtype="f4", chunks=(1 << 10, 1))

    return with_weights(change_weights, with_config(change_config))


def sized_weights(rows, change_kernel):
    """A model whose first kernel is (rows, 4), made by `change_kernel(file)`."""

    def change_config(config):
        layer_of(config, "values")["config"]["batch_shape"] = [None, rows]
        layer_of(config, "dense")["build_config"] = {"input_shape": [None, rows]}

    def change_weights(file):
        del file[KERNEL]
        change_kernel(file)

    return with_weights(change_weights, with_config(change_config))


@hostile("layers/dense/vars/0|2147483648")
def h5_storage_missing():
    """A kernel of 2 GiB of which the file holds nothing, in a model that asks for just that."""
    rows = 1 << 27
    return sized_weights(rows, lambda file: file.create_dataset(
        KERNEL, shape=(rows, 4), dtype="f4", chunks=(1 << 10, 4)))


@hostile("layers/dense/vars/0|2147483648|compression")
def h5_storage_filtered():
    """The same with a filter bound, so that little storage may be right."""
    rows = 1 << 27

    def change(file):
        kernel = file.create_dataset(KERNEL, shape=(rows, 4), dtype="f4", chunks=(1 << 10, 4),
                                     compression="gzip")
        kernel[0, 0] = 1.0

    return sized_weights(rows, change)


@hostile("layers/dense/vars/0|chunk")
def h5_chunk_bomb():
    """A small kernel in one chunk of 2 GiB, written as a few bytes that expand."""

    def change(file):
        del file[KERNEL]
        kernel = file.create_dataset(KERNEL, shape=(8, 4), maxshape=(None, 4), dtype="f4",
                                     chunks=(1 << 27, 4), compression="gzip")
        kernel.id.write_direct_chunk((0, 0), zlib.compress(bytes(128)))

    return with_weights(change)


@hostile("layers/dense/vars/0|filter")
def h5_filter_twice():
    """Deflate over Deflate expands by the square of what one does."""

    def change(file):
        del file[KERNEL]
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_obj_track_times(False)
        options.set_chunk((8, 4))
        options.set_deflate(9)
        options.set_deflate(9)
        group, name = KERNEL.rsplit("/", 1)
        space = h5py.h5s.create_simple((8, 4))
        kernel = h5py.h5d.create(file[group].id, name.encode(), h5py.h5t.IEEE_F32LE, space, options)
        kernel.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones((8, 4), np.float32))

    return with_weights(change)


@hostile("layers/normalization/vars/2|null dataspace")
def h5_null_scalar():
    """A dataset without any data in place of a scalar, whose rank is 0 as well."""
    keras.utils.clear_session()
    values = Input((8,), name="values")
    archive = common.model_bytes(
        Model(values, layers.Normalization(name="normalization")(values), name="scaled"))

    def change(file):
        del file["layers/normalization/vars/2"]
        file.create_dataset("layers/normalization/vars/2", data=h5py.Empty("i4"))

    return with_weights(change, archive)


@hostile("dense|shape|(8, 4)")
def h5_rank_bomb():
    return with_kernel(shape=(1,) * 32, dtype="f4")


@hostile("dense|8|4")
def h5_wrong_shape():
    """The kernel lies on its side."""
    return with_kernel(data=np.ones((4, 8), np.float32))


@hostile("dense|(0, 4)")
def h5_empty_kernel():
    return with_kernel(shape=(0, 4), dtype="f4")


@hostile("dense|only 1")
def h5_too_few_weights():
    return with_weights(lambda file: file.__delitem__(BIAS))


@hostile("dense|more")
def h5_too_many_weights():
    return with_weights(lambda file: file.create_dataset("layers/dense/vars/2", data=[1.0, 2.0]))


@hostile("dense|only 0")
def h5_missing_layer():
    return with_weights(lambda file: file.__delitem__("layers/dense"))


@hostile("dense|dtype")
def h5_string_kernel():
    return with_kernel(data=np.full((8, 4), b"0.5", dtype="S4"))


@hostile("dense|dtype")
def h5_long_string_kernel():
    """Strings of variable length, which live in the global heap."""
    return with_kernel(shape=(8, 4), dtype=h5py.string_dtype(), data=np.full((8, 4), "0.5", object))


@hostile("dense|dtype")
def h5_compound_kernel():
    return with_kernel(data=np.zeros((8, 4), dtype=[("a", "f4"), ("b", "i4")]))


@hostile("dense|filter 32000")
def h5_unknown_filter():
    """Compressed with LZF, which is h5py's own."""
    return with_kernel(data=np.ones((8, 4), np.float32), chunks=(8, 4), compression="lzf")


@hostile("dense|as a dataset")
def h5_group_as_kernel():

    def change(file):
        del file[KERNEL]
        file.create_group(KERNEL)

    return with_weights(change)


@hostile("dense|only 0")
def h5_dataset_as_layers():

    def change(file):
        del file["layers"]
        file["layers"] = np.zeros(4, np.float32)

    return with_weights(change)


@hostile("dense|only 0")
def h5_group_cycle():
    """layers/dense is a hard link to the root group, so paths never end."""

    def change(file):
        del file["layers/dense"]
        file["layers/dense"] = file["/"]

    return with_weights(change)


@hostile("model.weights.h5|damaged")
def h5_truncated():
    content = members_of(base_archive())["model.weights.h5"]
    return with_raw_weights(content[:len(content) * 6 // 10])


@hostile("model.weights.h5|damaged")
def h5_not_hdf5():
    return with_raw_weights(b"no weights here\n" * 100)


@hostile("model.weights.h5|damaged")
def h5_empty():
    return with_raw_weights(b"")


@hostile("model.weights.h5|damaged")
def h5_garbage():
    """The right signature, then noise."""
    noise = np.random.default_rng(1).integers(0, 256, 4096, dtype=np.uint8).tobytes()
    return with_raw_weights(b"\x89HDF\r\n\x1a\n" + noise)
