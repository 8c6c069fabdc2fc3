/* The one place that reads the environment. A new variable is one row here; nothing else knows the
 * list. */
#define _GNU_SOURCE
#include "base/settings.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/context.h>
#include "base/fail.h"

static const char *cache_dir(void);

static const struct row {
    const char *variable, *doc, *def;
    const char *(*compute)(void); /* the default, when it depends on other things */
    const char *choices;          /* "0|1"; "#" = a number above 0; NULL = its reader checks it */
} rows[] = {
    { "WEFT_PLUGIN_PATH",
      "directories with plugins, separated by ':', searched before the installed ones", "", 0, 0 },
    { "WEFT_DISABLE", "backends and plugins that are not used, separated by ',': opencl,keras", "",
      0, 0 },
    { "WEFT_CACHE_DIR", "where compiled programs are kept", "$XDG_CACHE_HOME/weft or ~/.cache/weft",
      cache_dir, 0 },
    { "WEFT_CACHE", "0: compiled programs are neither read from the cache nor written to it", "1",
      0, "0|1" },
    { "WEFT_LOG", "what the command line shows of the log: debug, info, warn or error", "warn", 0,
      "debug|info|warn|error" },
    { "WEFT_NUM_THREADS", "threads that the cpu backend uses; 0: one per core", "0", 0, 0 },
    { "WEFT_OPENCL_DEVICES",
      "which OpenCL devices are used, by a part of their name or platform; empty: all", "", 0, 0 },
    { "WEFT_OPENCL_VARIANT",
      "cpu or gpu: which OpenCL kernels are taken; empty: by the kind of device", "", 0, 0 },
    { "WEFT_OPENCL_LIMITS",
      "for tests: what OpenCL kernels count on where it is less than the device has, the "
      "work-items of a group and the bytes of local memory: 64,16384",
      "", 0, 0 },
    { "WEFT_GEMM",
      "weft or clblast: what multiplies matrices on OpenCL devices; empty: by the kind of device",
      "", 0, 0 },
    { "COLUMNS", "width of tables and of progress bars, in characters", "80", 0, "#" },
    { "WEFT_FAIL_ALLOC", "for tests: the n-th allocation fails", "", 0, 0 },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* Set-user-id programs get NULL: no variable may then choose code or files. */
static const char *environment(const char *variable)
{
    const char *value = secure_getenv(variable);
    return value && *value ? value : NULL;
}

static const char *cache_dir(void)
{
    static _Thread_local char path[PATH_MAX];
    const char *base = environment("XDG_CACHE_HOME"), *below = "weft";
    if (!base || *base != '/') { /* as the XDG specification asks */
        base = environment("HOME");
        below = ".cache/weft";
    }
    if (!base || *base != '/') return NULL;
    int n = snprintf(path, sizeof path, "%s/%s", base, below);
    return n > 0 && (size_t)n < sizeof path ? path : NULL;
}

static const char *value_of(const struct row *row)
{
    const char *value = environment(row->variable);
    if (value) return value;
    return row->compute ? row->compute() : *row->def ? row->def : NULL;
}

static int same_ignoring_case(const char *upper, const char *name)
{
    for (; *upper && *name; upper++, name++) {
        char c = *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
        if (*upper != c) return 0;
    }
    return !*upper && !*name;
}

const char *weft__setting(const char *name)
{
    for (size_t i = 0; name && i < N_ROWS; i++) {
        const char *variable = rows[i].variable;
        int prefixed = !strncmp(variable, "WEFT_", 5);
        if (!strcmp(variable, name) || same_ignoring_case(variable + (prefixed ? 5 : 0), name))
            return value_of(&rows[i]);
    }
    return NULL;
}

static int is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value), digits = strspn(value, "0123456789");
    if (*choices == '#') return digits == n && strspn(value, "0") < n;
    for (;; choices++) {
        size_t length = strcspn(choices, "|");
        if (length == n && !memcmp(choices, value, n)) return 1;
        choices += length;
        if (!*choices) return 0;
    }
}

void weft__settings_check(void (*say)(void *user, const char *message), void *user)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        const char *value = environment(rows[i].variable);
        char text[256];
        if (!value || !rows[i].choices || is_choice(rows[i].choices, value)) continue;
        snprintf(text, sizeof text, "%s is \"%.40s\", which is none of %s; %s is taken",
                 rows[i].variable, value, *rows[i].choices == '#' ? "1, 2, 3 .." : rows[i].choices,
                 rows[i].def);
        say(user, text);
    }
}

uint32_t weft_n_settings(void)
{
    return N_ROWS;
}

weft_status weft_setting(uint32_t i, weft_setting_info *info)
{
    if (i >= N_ROWS) return weft_fail(WEFT_E_ARG, "setting %u of %d", (unsigned)i, (int)N_ROWS);
    if (!info) return weft_fail(WEFT_E_ARG, "weft_setting: info is NULL");
    const char *value = value_of(&rows[i]);
    *info = (weft_setting_info){ rows[i].variable, rows[i].doc, rows[i].def, value ? value : "" };
    return WEFT_OK;
}
