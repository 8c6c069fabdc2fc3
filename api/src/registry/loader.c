/* Finds plugins and takes in what they bring. Every file that is seen ends in the report, loaded or
 * refused with a reason; none is a failure of the context. One lock for all of it: libltdl and
 * init() want one at a time. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/settings.h"
#include "registry/internal.h"

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

int weft__disabled(const char *name)
{
    const char *at = weft__setting("disable");
    size_t n = strlen(name);
    while (at && *at) {
        size_t len = strcspn(at, ", ");
        if (len == n && n && !memcmp(at, name, n)) return 1;
        at += len;
        at += strspn(at, ", ");
    }
    return 0;
}

/* ---- the report
 * ------------------------------------------------------------------------------- */

static weft_status add_entry(weft_context *ctx, const char *path, weft__entry **entry)
{
    if (weft__grow(&ctx->entry, ctx->n_entries, &ctx->cap_entries, sizeof *ctx->entry))
        return WEFT_E_NOMEM;
    weft__entry *e = &ctx->entry[ctx->n_entries];
    *e = (weft__entry){ 0 };
    if (!(e->path = weft__strdup(path))) return WEFT_E_NOMEM;
    ctx->n_entries++;
    *entry = e;
    return WEFT_OK;
}

/* Somebody who names a directory wants its plugins; what the user switched off, or what is not for
 * this machine among the installed ones, is told on demand. */
static weft_status tell(weft_context *ctx, const weft__entry *entry)
{
    return weft__context_say(ctx, entry->unwanted ? WEFT_LOG_DEBUG : ctx->refusal,
                             "plugin %s is refused: %s", entry->path, entry->reason);
}

/* Turns the failure that was just recorded into the entry's reason; want of memory stays a
 * failure. */
static weft_status refuse(weft_context *ctx, weft__entry *entry, weft_status st)
{
    if (st == WEFT_E_NOMEM) return st;
    if (!(entry->reason = weft__strdup(weft_error()))) return WEFT_E_NOMEM;
    return tell(ctx, entry);
}

static weft_status report_refused(weft_context *ctx, const char *path, weft_status st)
{
    weft__entry *entry = NULL;
    char *reason = weft__strdup(weft_error()); /* the record may change below */
    weft_status failed = reason ? add_entry(ctx, path, &entry) : WEFT_E_NOMEM;
    if (failed || st == WEFT_E_NOMEM) {
        weft__free(reason);
        return failed ? failed : st;
    }
    entry->reason = reason;
    return tell(ctx, entry);
}

/* ---- one plugin
 * ------------------------------------------------------------------------------- */

/* A second plugin of the same name would lose all its classes to the first: one reason instead of
 * many. */
static weft_status check_alone(const weft_context *ctx, const weft__entry *entry)
{
    for (size_t i = 0; i < ctx->n_entries; i++) {
        const weft__entry *other = &ctx->entry[i];
        if (other == entry || other->reason || !other->plugin) continue;
        if (other->inode && other->inode == entry->inode && other->device == entry->device)
            return weft_fail(WEFT_E_ARG, "is the same file as %s, which is loaded", other->path);
        if (!strcmp(other->plugin->name, entry->plugin->name))
            return weft_fail(WEFT_E_ARG, "a plugin named %s is loaded already from %s",
                             entry->plugin->name, other->path);
    }
    return WEFT_OK;
}

/* init() runs once a context; plugins keep no pointer to the host. */
static weft_status start(weft_context *ctx, const weft_plugin *plugin)
{
    uint64_t before = weft__fail_count();
    weft_status st = plugin->init ? plugin->init(&ctx->host) : WEFT_OK;
    if (!st) return WEFT_OK;
    if (weft__fail_count() == before)
        return weft_fail(WEFT_E_ABI, "its init() failed without a text (%s)", weft_status_name(st));
    return st == WEFT_E_NOMEM ? WEFT_E_DEVICE
                              : st; /* the plugin's own want of memory is a reason, too */
}

/* The plugin of the entry is known: checks it and takes it in. */
static weft_status admit(weft_context *ctx, weft__entry *entry)
{
    weft_status st;
    if ((entry->unwanted = weft__disabled(entry->plugin->name)))
        st = weft_fail(WEFT_E_ARG, "is switched off by WEFT_DISABLE");
    else if (!(st = check_alone(ctx, entry)) && !(st = weft__plugin_check(entry->plugin)))
        st = start(ctx, entry->plugin);
    if (st) return refuse(ctx, entry, st);
    return weft__register_plugin(ctx, entry->plugin);
}

static weft_status load_builtin(weft_context *ctx)
{
    for (const weft_plugin *const *p = weft__builtin_plugins; *p; p++) {
        weft__entry *entry = NULL;
        weft_status st = add_entry(ctx, "built in", &entry);
        if (st) return st;
        st = weft__plugin_check_head(*p);
        if (!st) {
            entry->plugin = *p;
            st = admit(ctx, entry);
        } else {
            st = refuse(ctx, entry, st);
        }
        if (st) return st;
    }
    return WEFT_OK;
}

/* ---- files
 * ------------------------------------------------------------------------------------ */

static int is_module_name(const char *name)
{
    size_t n = strlen(name);
    return n > 3 && *name != '.' && !strcmp(name + n - 3, ".so");
}

static int disabled_by_stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
    char name[NAME_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)(strlen(stem) - 3), stem);
    return weft__disabled(name);
}

/* Everything that can be said about the file before its code runs; then opens it. */
static weft_status open_file(const weft_context *ctx, const char *path, weft__entry *entry)
{
    struct stat info;
    char folder[PATH_MAX];
    weft_status st;
    if (stat(path, &info)) return weft_fail(WEFT_E_IO, "cannot be looked at: %s", strerror(errno));
    if (!S_ISREG(info.st_mode)) return weft_fail(WEFT_E_IO, "is no regular file");
    if ((entry->unwanted = disabled_by_stem(path)))
        return weft_fail(WEFT_E_ARG, "is switched off by WEFT_DISABLE");
    entry->device = (uint64_t)info.st_dev;
    entry->inode = (uint64_t)info.st_ino;
    if (!ctx->trust) {
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
        if ((st = weft__trust_check(*folder ? folder : "/")) || (st = weft__trust_check(path)))
            return st;
    }
    return weft__module_open(path, &entry->plugin);
}

static weft_status load_file(weft_context *ctx, const char *path)
{
    char real[PATH_MAX];
    weft__entry *entry = NULL;
    weft_status st;
    if (!realpath(path, real)) {
        st = weft_fail(WEFT_E_IO, "leads nowhere: %s", strerror(errno));
        return report_refused(ctx, path, st);
    }
    if ((st = add_entry(ctx, path, &entry))) return st;
    if (!is_module_name(strrchr(real, '/') + 1))
        st = weft_fail(WEFT_E_ARG, "leads to %s, which does not end in .so", real);
    else
        st = open_file(ctx, real, entry);
    if (st) return refuse(ctx, entry, st);
    return admit(ctx, entry);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        weft__free(names[i]);
    weft__free(names);
}

/* Full paths of what looks like a plugin, sorted, so that every run finds the same. */
static weft_status list_folder(const char *folder, char ***names, size_t *n)
{
    size_t cap = 0;
    weft_status st = WEFT_OK;
    DIR *dir = opendir(folder);
    if (!dir) return weft_fail(WEFT_E_IO, "cannot be searched: %s", strerror(errno));
    for (struct dirent *item; !st && (item = readdir(dir));) {
        weft__text path = { 0 };
        if (!is_module_name(item->d_name)) continue;
        weft__text_add(&path, "%s/%s", strcmp(folder, "/") ? folder : "", item->d_name);
        if (!(st = weft__grow(names, *n, &cap, sizeof **names))) {
            (*names)[*n] = weft__text_take(&path);
            if ((*names)[*n])
                ++*n;
            else
                st = WEFT_E_NOMEM;
        }
        weft__text_finish(&path);
    }
    closedir(dir);
    if (*n) qsort(*names, *n, sizeof **names, by_bytes);
    return st;
}

static weft_status load_folder(weft_context *ctx, const char *folder)
{
    char **names = NULL;
    size_t n = 0;
    weft_status st = ctx->trust ? WEFT_OK : weft__trust_check(folder);
    if (st) return report_refused(ctx, folder, st);
    weft__text_add(&ctx->searched, "%s%s", ctx->searched.n ? ", " : "", folder);
    if (ctx->searched.failed) return WEFT_E_NOMEM;
    st = list_folder(folder, &names, &n);
    if (st) {
        free_names(names, n);
        return report_refused(ctx, folder, st);
    }
    for (size_t i = 0; i < n && !st; i++)
        st = load_file(ctx, names[i]);
    free_names(names, n);
    return st;
}

/* weft/plugins-<major> beside the file that holds this code. 0 = there is none. */
static int installed_folder(char *folder, size_t size)
{
    static const char here = 0;
    char self[PATH_MAX], real[PATH_MAX];
    Dl_info info;
    struct link_map *map = NULL;
    if (!dladdr1(&here, &info, (void **)(void *)&map, RTLD_DL_LINKMAP) || !map) return 0;
    if (strchr(map->l_name, '/')) {
        if (!realpath(map->l_name, self)) return 0;
    } else { /* linked into the program, whose name may be a mere word */
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        if (n <= 0) return 0;
        self[n] = 0;
    }
    *strrchr(self, '/') = 0;
    int n = snprintf(folder, size, "%s/weft/plugins-%d", self, WEFT_ABI_MAJOR);
    return n > 0 && (size_t)n < size && realpath(folder, real) != NULL;
}

static int is_installed(const char *real)
{
    char folder[PATH_MAX + 32], installed[PATH_MAX];
    return installed_folder(folder, sizeof folder) && realpath(folder, installed) &&
           !strcmp(real, installed);
}

/* One element of a path: a folder, or a single file. */
static weft_status load_from(weft_context *ctx, const char *path)
{
    char real[PATH_MAX];
    struct stat info;
    if (!realpath(path, real) || stat(real, &info)) {
        weft_status st =
            weft_fail(WEFT_E_NOTFOUND, "cannot be searched for plugins: %s", strerror(errno));
        return report_refused(ctx, path, st);
    }
    if (!S_ISDIR(info.st_mode)) return load_file(ctx, path);
    ctx->refusal = is_installed(real) ? WEFT_LOG_DEBUG : WEFT_LOG_WARN;
    weft_status st = load_folder(ctx, real);
    ctx->refusal = WEFT_LOG_WARN;
    return st;
}

/* "dir:dir"; empty elements are left out, they never mean the working directory. */
static weft_status load_path(weft_context *ctx, const char *path)
{
    weft_status st = WEFT_OK;
    while (path && *path && !st) {
        size_t n = strcspn(path, ":");
        if (n) {
            char *one = weft__strndup(path, n);
            st = one ? load_from(ctx, one) : WEFT_E_NOMEM;
            weft__free(one);
        }
        path += n + (path[n] == ':');
    }
    return st;
}

static weft_status load_all(weft_context *ctx)
{
    char folder[PATH_MAX + 32];
    weft_status st;
    ctx->refusal = WEFT_LOG_WARN;
    if ((st = weft__register_ops(ctx, weft__core_ops, "weft"))) return st;
    if ((st = load_builtin(ctx))) return st;
    if ((st = load_path(ctx, ctx->plugin_path))) return st;
    if ((st = load_path(ctx, weft__setting("plugin_path")))) return st;
    if (installed_folder(folder, sizeof folder)) st = load_from(ctx, folder);
    return st;
}

weft_status weft__load_plugins(weft_context *ctx)
{
    pthread_mutex_lock(&loading);
    weft_status st = load_all(ctx);
    pthread_mutex_unlock(&loading);
    return st;
}
