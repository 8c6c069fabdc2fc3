"""Files that must be refused with an error, because they are broken or made to do harm: the zip
archive and config.json. generate_hostile_h5.py breaks the weights, generate_hostile_values.py
single values. Nothing here harms by itself: the large ones expand to zeros."""

import copy
import functools
import io
import json
import struct
import warnings
import zipfile

import keras
from keras import Input, Model, layers

import generate_common as common

CASES = {}


def hostile(words):
    """Registers a function that gives a file's bytes. `words`: what the error must contain."""

    def register(function):
        CASES[function.__name__] = (words, function)
        return function

    return register


@functools.cache
def base_archive():
    """What every case starts from: values(8) -> dense(4, relu) -> dense_1(2)."""
    keras.utils.clear_session()
    values = Input((8,), name="values")
    x = layers.Dense(4, activation="relu", name="dense")(values)
    model = Model(values, layers.Dense(2, name="dense_1")(x), name="base")
    common.fill_weights(model, common.generator_for("base"))
    return common.model_bytes(model)


def members_of(archive):
    """The members of an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return {name: source.read(name) for name in source.namelist()}


def pack(members):
    """An archive of (name, content) pairs; equal names are allowed."""
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as packed:
        warnings.simplefilter("ignore")
        for name, content in members:
            common.write_member(packed, name, content)
    return target.getvalue()


def with_member(name, content):
    """The base file with one member replaced, or left out if `content` is None."""
    members = members_of(base_archive()) | {name: content}
    return pack([pair for pair in members.items() if pair[1] is not None])


def with_config(change, archive=None):
    """The file after `change(config)`, where config is the parsed config.json."""
    members = members_of(archive or base_archive())
    config = copy.deepcopy(json.loads(members["config.json"]))
    change(config)
    members["config.json"] = json.dumps(config).encode()
    return pack(members.items())


def layer_of(config, name):
    """The entry of one layer in a Functional config."""
    return next(one for one in config["config"]["layers"] if one["config"]["name"] == name)


def history_of(config, name):
    """Where a layer takes its first input from: [layer, node, tensor], to be changed in place."""
    return layer_of(config, name)["inbound_nodes"][0]["args"][0]["config"]["keras_history"]


def patch_headers(archive, name, offset, value):
    """Writes a field into the central header of a member and into its local header. `offset` is
    that of the central header; the local one has no `version made by`, so it is two lower."""
    data, wanted = bytearray(archive), name.encode()
    for signature, shift, name_at in ((b"PK\x01\x02", 0, 46), (b"PK\x03\x04", -2, 30)):
        at = data.find(signature)
        while data[at + name_at:at + name_at + len(wanted)] != wanted:
            at = data.index(signature, at + 4)
        data[at + offset + shift:at + offset + shift + len(value)] = value
    return bytes(data)


@hostile("model.weights.h5|bomb")
def zip_bomb():
    """272 MiB of zeros in 280 kB."""
    return with_member("model.weights.h5", bytes(272 << 20))


@hostile("config.json|size")
def zip_lying_size_small():
    """The headers promise 100 bytes of config.json, the data hold more."""
    return patch_headers(base_archive(), "config.json", 24, struct.pack("<I", 100))


@hostile("model.weights.h5|bomb")
def zip_lying_size_huge():
    """The headers promise 3.7 GB of weights, the data hold a few kB."""
    return patch_headers(base_archive(), "model.weights.h5", 24, struct.pack("<I", 0xDDDDDDDD))


@hostile("as a zip")
def zip_lying_stored_size():
    """The compressed size reaches beyond the end of the file."""
    return patch_headers(base_archive(), "model.weights.h5", 20, struct.pack("<I", 0x7FFFFFF0))


@hostile("config.json|checksum")
def zip_wrong_checksum():
    return patch_headers(base_archive(), "config.json", 16, b"\xde\xad\xbe\xef")


@hostile("config.json")
def zip_encrypted():
    """The flag says that config.json is encrypted."""
    return patch_headers(base_archive(), "config.json", 8, struct.pack("<H", 1))


@hostile("model.weights.h5")
def zip_unknown_method():
    return patch_headers(base_archive(), "model.weights.h5", 10, struct.pack("<H", 77))


@hostile("as a zip")
def zip_truncated():
    archive = base_archive()
    return archive[:len(archive) * 6 // 10]


@hostile("as a zip")
def zip_directory_only():
    """The central directory without the data before it."""
    archive = base_archive()
    return archive[archive.index(b"PK\x01\x02"):]


@hostile("as a zip")
def not_a_zip():
    return b"This is a text, not a model.\n" * 40


@hostile("empty")
def empty_file():
    return b""


@hostile("no config.json")
def missing_config():
    return with_member("config.json", None)


@hostile("no model.weights.h5")
def missing_weights():
    return with_member("model.weights.h5", None)


@hostile("as a zip")
def duplicate_config():
    """Two members called config.json: readers disagree on which one counts."""
    return pack([*members_of(base_archive()).items(), ("config.json", b"{}")])


@hostile("as a zip")
def duplicate_weights():
    members = members_of(base_archive())
    return pack([*members.items(), ("model.weights.h5", members["model.weights.h5"])])


@hostile("evil|traversal")
def path_traversal():
    return pack([*members_of(base_archive()).items(), ("../../evil.txt", b"evil\n")])


@hostile("evil|traversal")
def path_absolute():
    return pack([*members_of(base_archive()).items(), ("/tmp/evil.txt", b"evil\n")])


@hostile("config.json|depth")
def json_deep():
    """100000 brackets within brackets."""
    return with_member("config.json", b"[" * 100000 + b"]" * 100000)


@hostile("config.json|depth")
def json_deep_objects():
    return with_member("config.json", b'{"config":' * 100000 + b"1" + b"}" * 100000)


@hostile("config.json|at most")
def json_huge_string():
    """A layer name of 64 MiB."""
    text = members_of(base_archive())["config.json"]
    return with_member("config.json", text.replace(b'"dense"', b'"' + b"a" * (64 << 20) + b'"', 1))


@hostile("config.json|line 1")
def json_nul_in_name():
    text = members_of(base_archive())["config.json"]
    return with_member("config.json", text.replace(b'"dense"', rb'"den\u0000se"'))


@hostile("config.json|line 1")
def json_invalid_utf8():
    text = members_of(base_archive())["config.json"]
    return with_member("config.json", text.replace(b'"dense"', b'"den\xff\xfese"'))


@hostile("config.json|line 1")
def json_truncated():
    text = members_of(base_archive())["config.json"]
    return with_member("config.json", text[:len(text) // 2])


@hostile("config.json|line 1")
def json_trailing():
    return with_member("config.json", members_of(base_archive())["config.json"] + b"}{")


@hostile("config.json|line 1")
def json_empty():
    return with_member("config.json", b"")


@hostile("config.json|class_name")
def json_not_an_object():
    return with_member("config.json", b"[1, 2, 3]")


@hostile("config.json|class_name")
def json_empty_object():
    return with_member("config.json", b"{}")


@hostile("cycle|dense")
def graph_cycle():
    """dense takes its input from dense_1, which takes its input from dense."""
    return with_config(lambda config: history_of(config, "dense").__setitem__(0, "dense_1"))


@hostile("cycle|dense_1")
def graph_self_cycle():
    return with_config(lambda config: history_of(config, "dense_1").__setitem__(0, "dense_1"))


@hostile("nowhere")
def graph_unknown_layer():
    return with_config(lambda config: history_of(config, "dense_1").__setitem__(0, "nowhere"))


@hostile("nowhere")
def graph_unknown_output():
    return with_config(lambda config: config["config"].update(output_layers=[["nowhere", 0, 0]]))


@hostile("nowhere")
def graph_unknown_input():
    return with_config(lambda config: config["config"].update(input_layers=[["nowhere", 0, 0]]))


@hostile("dense|7")
def graph_unknown_node():
    """The eighth call of a layer that is called once."""
    return with_config(lambda config: history_of(config, "dense_1").__setitem__(1, 7))


@hostile("dense|5")
def graph_unknown_tensor():
    """The sixth output of a layer that has one."""
    return with_config(lambda config: history_of(config, "dense_1").__setitem__(2, 5))


@hostile("dense|-3")
def graph_negative_node():
    return with_config(lambda config: history_of(config, "dense_1").__setitem__(1, -3))


@hostile("dense|two layers")
def graph_duplicate_names():
    """Two layers called dense."""

    def change(config):
        entry = layer_of(config, "dense_1")
        entry["name"] = entry["config"]["name"] = "dense"

    return with_config(change)


@hostile("exec")
def config_runs_code():
    """A layer of `module` builtins and `class_name` exec, as in published attacks on loaders."""

    def change(config):
        entry = layer_of(config, "dense")
        entry.update(module="builtins", class_name="exec", config={"name": "dense", "x": "1 + 1"})

    return with_config(change)
