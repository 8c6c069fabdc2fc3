/* weft/context.h - the start of everything: plugins found, devices found, settings, log. */
#ifndef WEFT_CONTEXT_H
#define WEFT_CONTEXT_H
#include <weft/backend.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct weft_context weft_context;

/* options: attribute text or NULL: plugin_path="dir:dir" (searched before WEFT_PLUGIN_PATH and the
 * installed plugins), trust=true (load plugins whatever their owner and mode). A plugin that cannot
 * be loaded is no failure: weft_context_plugin says why. Threads: a context may be used by several
 * threads at once. It must outlive its models and sessions. */
WEFT_EXPORT weft_status weft_context_create(const char *options, weft_context **ctx);
WEFT_EXPORT void weft_context_destroy(weft_context **ctx);

/* Receives every message of level or above, from any thread; NULL turns it off (the default). It
 * must not call Weft, which may hold a lock. What the loading of plugins had to say, which is over
 * by then, is handed to each new fn at once. */
typedef void (*weft_log_fn)(void *user, weft_log_level level, const char *message);
WEFT_EXPORT void weft_context_log(weft_context *ctx, weft_log_level level, weft_log_fn fn,
                                  void *user);

/* Every file that discovery saw, and every built-in plugin. Strings live as long as the context. */
typedef struct weft_plugin_info {
    const char *path; /* "built in", or the file */
    const char *name, *version, *author, *license,
        *url; /* "" if it was refused before that was known */
    int loaded;
    const char *reason;        /* of the refusal; "" if loaded */
    const weft_plugin *plugin; /* NULL if refused */
} weft_plugin_info;
WEFT_EXPORT uint32_t weft_context_n_plugins(const weft_context *ctx);
WEFT_EXPORT weft_status weft_context_plugin(const weft_context *ctx, uint32_t i,
                                            weft_plugin_info *info);
/* Borrowed; NULL if there is none of that name. Names of third parties may be given short ("XTanh"
 * for "org.example.XTanh") when that is unambiguous. */
WEFT_EXPORT const weft_layer_class *weft_context_layer_class(const weft_context *ctx,
                                                             const char *name);
WEFT_EXPORT const weft_op_class *weft_context_op_class(const weft_context *ctx, const char *name);

/* Devices of all backends: "cpu" first, then "opencl:0", "opencl:1" ... in a stable order (GPUs,
 * integrated GPUs, accelerators, CPUs; then by platform name). Unusable ones are listed with their
 * reason. The first call probes. A backend without devices is reported by weft_context_backend. */
WEFT_EXPORT uint32_t weft_context_n_devices(weft_context *ctx);
WEFT_EXPORT weft_status weft_context_device(weft_context *ctx, uint32_t i, const char **id,
                                            weft_dev_info *info);
WEFT_EXPORT uint32_t weft_context_n_backends(weft_context *ctx);
WEFT_EXPORT weft_status weft_context_backend(weft_context *ctx, uint32_t i, const char **id,
                                             uint32_t *n_devices, const char **why);

/* The settings (environment variables) that the library reads: name, meaning, default, value now.
 */
typedef struct weft_setting_info {
    const char *variable, *doc, *def, *value;
} weft_setting_info;
WEFT_EXPORT uint32_t weft_n_settings(void);
WEFT_EXPORT weft_status weft_setting(uint32_t i, weft_setting_info *info);
#ifdef __cplusplus
}
#endif
#endif
