/* Shared objects, opened once a process and never closed. All that is known about libltdl stays in
 * this file: its error texts say nothing, it binds lazily and is not thread safe, so a file is
 * first opened by dlopen, which tells what is wrong, and libltdl then keeps it. Callers hold the
 * loader's lock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <ltdl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "registry/internal.h"

typedef struct module {
    struct module *next;
    dev_t device;
    ino_t inode;
    const weft_plugin *plugin;
} module;

static module *modules; /* of the process: their code may be running as long as it lives */
static int ltdl_ready;

/* dlerror() repeats the path, which the report shows already. */
static const char *reason_of(const char *path)
{
    const char *text = dlerror();
    size_t n = strlen(path);
    if (!text) return "for an unknown reason";
    if (!strncmp(text, path, n) && text[n] == ':') text += n + 1;
    while (*text == ' ')
        text++;
    return text;
}

static weft_status fail_no_symbol(void *handle)
{
    char symbol[] = "weft_plugin_v0";
    for (char digit = '0'; digit <= '9'; digit++) {
        symbol[sizeof symbol - 2] = digit;
        if (digit != '1' && dlsym(handle, symbol))
            return weft_fail(
                WEFT_E_ABI,
                "exports %s, not weft_plugin_v1: it was built for another plugin interface than "
                "weft %s has; rebuild it against this <weft/plugin.h>",
                symbol, weft_version());
    }
    return weft_fail(
        WEFT_E_ABI,
        "is a shared object but exports no weft_plugin_v1 (is WEFT_LAYER or WEFT_PLUGIN in it, "
        "and not WEFT_STATIC defined?)");
}

/* Opens it for good. The look before made sure that this finds nothing new to complain about. */
static weft_status open_for_good(const char *path, const weft_plugin **plugin)
{
    lt_dladvise advise = NULL;
    lt_dlhandle handle = NULL;
    if (!ltdl_ready && lt_dlinit())
        return weft_fail(WEFT_E_INTERNAL, "libltdl cannot be started: %s", lt_dlerror());
    ltdl_ready = 1;
    if (lt_dladvise_init(&advise) || lt_dladvise_local(&advise) || lt_dladvise_resident(&advise)) {
        lt_dladvise_destroy(&advise);
        return weft_fail(WEFT_E_NOMEM, "libltdl has no memory");
    }
    handle = lt_dlopenadvise(path, advise);
    lt_dladvise_destroy(&advise);
    if (!handle) return weft_fail(WEFT_E_ABI, "cannot be loaded by libltdl: %s", lt_dlerror());
    *plugin = lt_dlsym(handle, "weft_plugin_v1");
    return *plugin ? WEFT_OK : weft_fail(WEFT_E_ABI, "libltdl does not find its weft_plugin_v1");
}

static weft_status remember(const struct stat *info, const weft_plugin *plugin)
{
    module *m = weft__raw_alloc(sizeof *m);
    if (!m) return weft_fail(WEFT_E_NOMEM, "out of memory: a plugin could not be registered");
    *m = (module){ modules, info->st_dev, info->st_ino, plugin };
    modules = m;
    return WEFT_OK;
}

/* A file that is shorter than its program headers say would kill the process when it is touched.
 * Only little-endian 64-bit ELF is looked at; what else there may be is left to dlopen. */
static weft_status check_length(const char *path, off_t length)
{
    Elf64_Ehdr head;
    FILE *file = fopen(path, "rb");
    int short_of = 0;
    if (!file) return WEFT_OK; /* dlopen says why */
    if (fread(&head, sizeof head, 1, file) == 1 && !memcmp(head.e_ident, ELFMAG, SELFMAG) &&
        head.e_ident[EI_CLASS] == ELFCLASS64 && head.e_ident[EI_DATA] == ELFDATA2LSB &&
        head.e_phoff <= (uint64_t)length && !fseeko(file, (off_t)head.e_phoff, SEEK_SET)) {
        for (uint32_t i = 0; i < head.e_phnum; i++) {
            Elf64_Phdr part;
            if (fread(&part, sizeof part, 1, file) != 1) {
                short_of = 1;
                break;
            }
            short_of |=
                part.p_type == PT_LOAD && (part.p_offset > (uint64_t)length ||
                                           part.p_filesz > (uint64_t)length - part.p_offset);
        }
    }
    fclose(file);
    if (!short_of) return WEFT_OK;
    return weft_fail(WEFT_E_ABI,
                     "is cut off: its program headers reach beyond its %lld bytes; "
                     "build or "
                     "copy it again",
                     (long long)length);
}

weft_status weft__module_open(const char *path, const weft_plugin **plugin)
{
    struct stat info;
    const weft_plugin *head;
    weft_status st;
    *plugin = NULL;
    if (stat(path, &info)) return weft_fail(WEFT_E_IO, "cannot be looked at: %s", strerror(errno));
    for (const module *m = modules; m; m = m->next)
        if (m->device == info.st_dev && m->inode == info.st_ino) {
            *plugin = m->plugin;
            return WEFT_OK;
        }
    if ((st = check_length(path, info.st_size))) return st;
    void *look = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!look) return weft_fail(WEFT_E_ABI, "cannot be loaded: %s", reason_of(path));
    head = dlsym(look, "weft_plugin_v1");
    st = head ? weft__plugin_check_head(head) : fail_no_symbol(look);
    if (!st) st = open_for_good(path, plugin);
    if (!st) st = remember(&info, *plugin);
    dlclose(look); /* of a plugin that is kept only the count drops */
    return st;
}
