/* What the files of this room share: the context, its report of plugins, its tables. */
#ifndef WEFT_REGISTRY_INTERNAL_H
#define WEFT_REGISTRY_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>
#include "base/text.h"
#include "registry/registry.h"

/* One line of the report: a built-in plugin, a file, or a directory that cannot be searched. */
typedef struct weft__entry {
    char *path, *reason;       /* reason NULL: loaded */
    const weft_plugin *plugin; /* NULL if refused before its head was checked */
    int unwanted;              /* refused because the user switched it off */
    uint64_t device, inode;    /* of the file; 0, 0 = none */
} weft__entry;

/* Classes sorted by name; the first of a name stays. */
typedef struct weft__class {
    const char *name;
    const void *class; /* weft_op_class or weft_layer_class */
    const char *from;  /* the plugin, or "weft" */
    weft_attr *attrs;  /* of an op with `then`: owned; else NULL */
} weft__class;
typedef struct weft__table {
    weft__class *row;
    size_t n, cap;
} weft__table;

typedef struct weft__provider {
    const weft_backend *backend;
    uint32_t n_devices;
    char *why;
} weft__provider;
typedef struct weft__device {
    char *id;
    const weft_backend *backend;
    uint32_t number;
    weft_dev_info info;
} weft__device;
typedef struct weft__early {
    weft_log_level level;
    char *message;
} weft__early;

struct weft_context {
    weft_host host; /* first: the services find the context by it */
    atomic_uint holders;
    weft__log log;
    weft__early *early;
    size_t n_early, cap_early; /* said before there was a callback */
    int trust, threads;        /* threads: of parallel_for, 0 = as many as OpenMP wants */
    char *plugin_path;
    weft_log_level refusal; /* while loading: how loud a refused file is told */
    weft__text searched;    /* "dir, dir", for errors */
    weft__entry *entry;
    size_t n_entries, cap_entries;
    weft__table ops, layers;
    const weft_format **format;
    size_t n_formats, cap_formats;
    weft__provider *provider;
    size_t n_providers, cap_providers;
    pthread_mutex_t probing;
    int probed;
    weft__device *device;
    size_t n_devices, cap_devices;
};

/* host.c */
void weft__host_init(weft_context *ctx);
/* Something about plugins while they load: kept for the callback that is set later. */
weft_status weft__context_say(weft_context *ctx, weft_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* table.c: WEFT_OK and *taken NULL, or the name of the plugin that had it before. */
weft_status weft__table_add(weft__table *table, const weft__class *row, const char **taken);
const weft__class *weft__table_get(const weft__table *table, const char *name);
void weft__table_finish(weft__table *table);
weft_status weft__register_ops(weft_context *ctx, const weft_op_class *const *ops,
                               const char *from);
/* Everything that the plugin brings. */
weft_status weft__register_plugin(weft_context *ctx, const weft_plugin *plugin);

/* validate.c: is what it brings complete? Fails with the reason. */
weft_status weft__plugin_check_head(const weft_plugin *plugin);
weft_status weft__plugin_check(const weft_plugin *plugin);

/* trust.c: fails with WEFT_E_UNTRUSTED and the command that repairs it; path is absolute and
 * real. */
weft_status weft__trust_check(const char *path);

/* module.c: opens a file, or gives what is open already in this process. Fails with the reason. */
weft_status weft__module_open(const char *path, const weft_plugin **plugin);

/* loader.c */
weft_status weft__load_plugins(weft_context *ctx);
/* Is it in the comma list of the setting WEFT_DISABLE? */
int weft__disabled(const char *name);

/* device.c */
void weft__devices_finish(weft_context *ctx);
#endif
