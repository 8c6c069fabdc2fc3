/* The format "keras": .keras files of Keras 3 (a zip of metadata.json, config.json,
 * model.weights.h5). The file is hostile until read: no code in it is run, and every size is
 * checked before memory is taken. */
#ifndef WEFT_PLUGINS_KERAS_H
#define WEFT_PLUGINS_KERAS_H
#include <jansson.h>
#include <weft/format.h>

/* One file while it is read. */
typedef struct keras_file {
    const weft_model_api *api;
    weft_model *root;
    const char *path;
    json_t *config; /* of the whole model; borrowed pointers into it everywhere */
    void *weights;  /* model.weights.h5 */
    size_t n_weights;
} keras_file;

/* "<path>: <text>" into the error record. */
weft_status keras_fail(const keras_file *f, weft_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* All memory of the plugin, zeroed, from the host, so that tests can make it fail. NULL: there is
 * none, and the host has recorded that. */
void *keras_alloc(const keras_file *f, size_t n, size_t size);
void keras_free(const keras_file *f, void *memory);

/* archive.c: the members into config and weights. */
weft_status keras_archive_read(keras_file *f);

/* A growing string for attribute text. */
typedef struct keras_text {
    const keras_file *f;
    char *s;
    size_t n, cap;
    int failed, nested; /* nested: objects within objects that are being written */
} keras_text;
void keras_text_add(keras_text *t, const char *s, size_t n);
void keras_text_str(keras_text *t, const char *s);

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

/* weights.c: model.weights.h5 into the variables. */
weft_status keras_weights_read(const keras_file *f, weft_model *model);
#define KERAS_MAX_DEPTH 32 /* of models in models */
#endif
