/* The format "keras": .keras files of Keras 3 (a zip of metadata.json, config.json,
 * model.weights.h5), read and written. A file is hostile until read: no code in it is run, and
 * every size is checked before memory is taken. */
#ifndef WEFT_PLUGINS_KERAS_H
#define WEFT_PLUGINS_KERAS_H
#include <jansson.h>
#include <weft/format.h>

/* One file while it is read. */
typedef struct keras_file {
    const weft_model_api *api;
    weft_model *root;
    const char *path; /* NULL while a file is written: whoever called the writer names it */
    json_t *config;   /* of the whole model; borrowed pointers into it everywhere */
    void *weights;    /* model.weights.h5 */
    size_t n_weights;
} keras_file;

/* "<path>: <text>" into the error record; the text alone if there is no path. */
weft_status keras_fail(const keras_file *f, weft_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Memory from the host, zeroed, which tests can make fail. NULL: there is none, and the host has
 * recorded that. */
void *keras_alloc(const keras_file *f, size_t n, size_t size);
void keras_free(const keras_file *f, void *memory);

/* archive.c: the members into config and weights. */
weft_status keras_archive_read(keras_file *f);

#define KERAS_MAX_CONFIG (64u << 20) /* bytes of config.json */

/* write.c: weft_format.write */
weft_status keras_write(const weft_model_api *api, const weft_model *model, const char *path,
                        const char *options);

/* A growing string for attribute text. */
typedef struct keras_text {
    const keras_file *f;
    char *s;
    size_t n, cap, most; /* most: bytes that it may have, 0: any number */
    int failed, full;    /* no memory; more than `most`: nothing is added any more */
    int nested;          /* objects within objects that are being written */
} keras_text;
void keras_text_add(keras_text *t, const char *s, size_t n);
void keras_text_str(keras_text *t, const char *s);
void keras_text_free(keras_text *t);
void keras_text_scalar(keras_text *t, const json_t *v); /* null, true, a number, a string */
int keras_is_word(const char *s);                       /* of attribute text, in any locale */

/* attributes.c: a layer's config as attribute text of its class; only what the class has. */
weft_status keras_attributes(const keras_file *f, const weft_layer_class *cls, const char *layer,
                             const json_t *config, keras_text *text);

/* Is the value, of the key of a layer's config, a function or a class of the model's author that no
 * plugin stands for? Then why it cannot run, and the ways out. */
int keras_is_foreign(const keras_file *f, const char *key, const json_t *value, char *why,
                     size_t size);

/* layers.c */
typedef struct keras_layer { /* one entry of "layers" */
    const char *name, *class_name;
    const json_t *entry, *config, *nodes; /* nodes: inbound_nodes, an array, or NULL */
    weft_layer_id id;                     /* 0 for an input */
    weft_tensor_id tensor;                /* of an input */
    weft_model *sub;                      /* a nested model */
    weft_dtype dtype;                     /* that the layer computes in; not of nested models */
    uint32_t first_node; /* number of its first call among all calls of the model */
    uint32_t n_calls;    /* calls made so far */
} keras_layer;
int keras_is_model(const char *class_name);
int keras_is_input(const char *class_name);
/* The class that an entry of "layers" means, or NULL. Keras's own names mean Keras's own classes; a
 * class of the model's author ("pkg>Name") must come from a third party's plugin
 * ("org.example.Name"). */
const weft_layer_class *keras_find_class(const keras_file *f, const json_t *entry);
const char *keras_string(const json_t *object, const char *key); /* NULL if it is no string */
const char *keras_dtype_name(weft_dtype dtype);                  /* "float32" */
weft_dtype keras_dtype(const char *name);                        /* 0 = unknown */
/* Every class of the file that no plugin has is collected for one report, and counted. */
weft_status keras_check_classes(const keras_file *f, const json_t *model, const char *prefix,
                                int depth, size_t *n_missing);
/* Builds `model` (an object with class_name and config) into `into`; nested models by recursion. */
weft_status keras_build(const keras_file *f, const json_t *model, weft_model *into, int depth);
/* functional.c */
weft_status keras_build_functional(const keras_file *f, const json_t *config, weft_model *into,
                                   int depth);
/* A layer of the class the entry names, created in `into`; models by recursion. */
weft_status keras_create_layer(const keras_file *f, keras_layer *layer, weft_model *into,
                               int depth);
/* Refuses a layer whose dtype is not that of its inputs x, in which it would compute here. */
weft_status keras_check_dtype(const keras_file *f, const keras_layer *layer, const weft_model *into,
                              const weft_tensor_id *x, size_t n);
/* Refuses a layer of an integer dtype whose result y is a float here: Keras cuts its weights. */
weft_status keras_check_result(const keras_file *f, const keras_layer *layer,
                               const weft_model *into, weft_tensor_id y);
weft_status keras_input(const keras_file *f, const char *name, const json_t *shape,
                        const json_t *config, weft_model *into, weft_tensor_id *tensor);

/* constant.c: {"class_name": "__tensor__", ..}, an array among a call's arguments. */
int keras_is_constant(const json_t *v);
weft_status keras_constant_read(const keras_file *f, const json_t *v, weft_model *into,
                                weft_tensor_id *tensor);
json_t *keras_constant_json(const weft_tensor_info *info); /* NULL: no memory, nan, inf, or empty */

/* groups.c: where model.weights.h5 has what. Keras names a group by the class and the ordinal of
 * the layer among those of its class, in the order of model.layers: "layers/dense_1". */
typedef struct keras_groups {
    struct keras_group_counter *item;
} keras_groups;
weft_status keras_groups_init(const keras_file *f, keras_groups *groups, uint32_t n_layers);
void keras_groups_finish(const keras_file *f, keras_groups *groups);
/* The next layer's group: "<prefix>/layers/dense_1". */
void keras_group_next(keras_groups *groups, const char *prefix, const char *class_name, char *group,
                      size_t size);
/* Variable i of a layer in its group: "<group>/vars/0", of a layer inside it ("layer/kernel")
 * "<group>/layer/vars/0", of a recurrent layer "<group>/cell/vars/0"; "" if files do not hold it
 * (WEFT_TRANSIENT). *ordinal is the last number. */
weft_status keras_variable_path(const keras_file *f, const weft_model *m, weft_layer_id layer,
                                uint32_t i, const char *group, char *path, size_t size,
                                uint32_t *ordinal);
/* Keras's layers of a cell, which holds their variables; they are called on a series, and on the
 * states to begin with. cls may be NULL. */
int keras_is_recurrent(const weft_layer_class *cls);
/* Class name to group name: Conv2D -> conv2d, LeakyReLU -> leaky_re_lu (Keras's to_snake_case). */
void keras_snake_name(const char *name, char *out, size_t size);
/* What Keras calls a class: the name without its namespace; "Activation" for a function that stands
 * as a layer. */
const char *keras_class_name(const weft_layer_class *cls);

/* weights.c: model.weights.h5 into the variables. */
weft_status keras_weights_read(const keras_file *f, weft_model *model);
int64_t keras_memory_type(weft_dtype dtype); /* an hid_t, for data in memory */
uint64_t keras_spec_bytes(const weft_spec *spec);

/* One model while it is written. Functions that return JSON return NULL on failure, and keep the
 * first failure in status (none kept: no memory). */
typedef struct keras_writer {
    keras_file f;
    weft_status status;
    const char *layer;       /* at work, for messages */
    const weft_spec *result; /* of the layer at work: what its activation is called on */
    keras_text foreign;      /* classes that are not Keras's: "Swish (layer "a")", .. */
} keras_writer;
/* A warning about the file, in the words of what is being saved. */
void keras_write_warn(const keras_writer *w, const weft_model *m, const char *what);
json_t *keras_write_fail(keras_writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* write_values.c: canonical attribute text. *why: what JSON cannot hold, if that is the reason. */
json_t *keras_attributes_json(const keras_file *f, const char *text, const char **why);
/* write_config.c: a layer's entry: module, class_name, config, registered_name; result: what its
 * first call gives. */
json_t *keras_layer_json(keras_writer *w, const weft_model *m, weft_layer_id id,
                         const weft_spec *result);
/* A list that takes over `item`; NULL if either is NULL, or there is no memory: then both go. */
json_t *keras_append(json_t *list, json_t *item);
/* Sizes; null for the batch, multiples of it, and what is known only when the model runs. */
json_t *keras_shape_json(const weft_spec *spec);
json_t *keras_object_json(const char *module, const char *class_name, json_t *config);
json_t *keras_policy_json(weft_dtype dtype);
json_t *keras_name_json(keras_writer *w, const char *name); /* of a layer, an input, a model */
/* calls.c: calls that the outputs need. number[first[id] + k]: what call k of layer id counts as
 * in the file, UINT32_MAX if it is not in it. */
typedef struct keras_calls {
    uint32_t n_layers, *first, *number;
} keras_calls; /* starts as { 0 } */
weft_status keras_calls_find(const keras_file *f, const weft_model *m, keras_calls *calls);
void keras_calls_finish(const keras_file *f, keras_calls *calls);
int keras_is_chain(const keras_file *f, const weft_model *m); /* written as a Sequential? */
const char *keras_kind(const keras_file *f, const weft_model *m);

/* ports.c. Notes of a model: "dict" if its file has outputs by name; the keys of its inputs, a
 * list, if they are a dict; its training configuration, beside WEFT_NOTE_COMPILE. */
#define KERAS_NOTE_INPUTS "keras.inputs"
#define KERAS_NOTE_OUTPUTS "keras.outputs"
#define KERAS_NOTE_COMPILE "compile_config"
int keras_outputs_by_name(const keras_file *f, const weft_model *m); /* to be written as a dict? */
/* Names that a file of Keras cannot hold, for they are not sorted: a list; else null. */
json_t *keras_output_names(const keras_file *f, const weft_model *m);
json_t *keras_input_keys(const keras_file *f, const weft_model *m); /* NULL if they are a list */
/* training.c: compile_config into notes. */
weft_status keras_training_read(const keras_file *f);
/* Its keys that the note has, too. */
enum { KERAS_OPTIMIZER, KERAS_LOSS, KERAS_LOSS_WEIGHTS, KERAS_METRICS, KERAS_KEYS };
extern const char *const keras_training_keys[];
/* 1: text says what compile_config says, as far as attribute text, not too long, has a form for
 * it. */
int keras_training_text(const keras_file *f, const weft_model *m, const json_t *config,
                        keras_text *text);
/* A list with what holds for each output, of a list of as many, a dict by their names, or one value
 * for all. */
json_t *keras_by_output(const keras_file *f, const weft_model *m, const json_t *v);
/* write_training.c: compile_config of a model that is written, {} if it has none. */
json_t *keras_training_json(keras_writer *w, const weft_model *m);
/* write_graph.c: a whole model's entry. */
json_t *keras_model_json(keras_writer *w, const weft_model *m, const char *name, int depth);
/* write_weights.c: model.weights.h5 in memory: *bytes lives until keras_image_close(). */
typedef struct keras_image {
    int64_t file; /* an hid_t */
    const void *bytes;
    size_t n;
} keras_image;
weft_status keras_image_write(const keras_file *f, const weft_model *m, keras_image *image);
void keras_image_close(keras_image *image);
#define KERAS_MAX_DEPTH 32 /* of models in models */
#endif
