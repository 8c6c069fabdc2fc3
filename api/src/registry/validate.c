/* Is a plugin what it says, and complete? Everything is looked at once, when it is loaded, so that
 * no code behind has to ask. Failures are the reasons that the report shows. */
#include <string.h>
#include "base/attrs.h"
#include "base/fail.h"
#include "registry/internal.h"

/* Size of a struct that ends with FIELD, as it was in the first minor of this major. */
#define SIZE_TO(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/* What `needs` may name, with the versions that this library has; weft/plugin.h says what each one
 * is. */
static const struct feature {
    const char *name;
    int major, minor;
} features[] = { { "abi", WEFT_ABI_MAJOR, WEFT_ABI_MINOR },
                 { "op", 1, 0 },
                 { "map", 1, 0 },
                 { "initializer", 1, 0 },
                 { "scan", 1, 0 },
                 { "gradient", 1, 0 },
                 { "random", 1, 0 },
                 { "mask", 1, 0 },
                 { "state", 1, 0 },
                 { "cpu", 1, 0 },
                 { "cl", 1, 0 } };
enum { N_FEATURES = sizeof features / sizeof *features };

/* "op", "op/1" or "op/1.0", n bytes of it. */
static int has_feature(const char *text, size_t n)
{
    char word[64];
    if (n >= sizeof word) return 0;
    memcpy(word, text, n);
    word[n] = 0;
    char *slash = strchr(word, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < N_FEATURES; i++) {
        const struct feature *f = &features[i];
        int major = 0, minor = 0, end = 0;
        if (strcmp(word, f->name)) continue;
        if (!slash) return 1;
        if (strspn(slash + 1, "0123456789.") != strlen(slash + 1)) return 0;
        if (sscanf(slash + 1, "%9d%n.%9d%n", &major, &end, &minor, &end) < 1) return 0;
        return !slash[1 + end] && major == f->major && minor <= f->minor;
    }
    return 0;
}

static weft_status check_needs(const char *needs)
{
    for (const char *at = needs; at && *at;) {
        size_t n = strcspn(at, " ");
        if (n && !has_feature(at, n)) {
            weft__text have = { 0 };
            for (size_t i = 0; i < N_FEATURES; i++)
                weft__text_add(&have, "%s%s/%d.%d", i ? " " : "", features[i].name,
                               features[i].major, features[i].minor);
            weft_status st =
                weft_fail(WEFT_E_ABI,
                          "it needs \"%.*s\", which weft %s does not have (it has %s): use a "
                          "newer libweft",
                          (int)(n < 80 ? n : 80), at, weft_version(), have.s ? have.s : "");
            weft__text_finish(&have);
            return st;
        }
        at += n;
        while (*at == ' ')
            at++;
    }
    return WEFT_OK;
}

weft_status weft__plugin_check_head(const weft_plugin *p)
{
    if (p->magic != WEFT_MAGIC)
        return weft_fail(
            WEFT_E_ABI,
            "its weft_plugin_v1 begins with %08x, not with WEFT_MAGIC: define it by WEFT_PLUGIN or "
            "WEFT_LAYER of <weft/plugin.h>",
            (unsigned)p->magic);
    if (p->abi_major != WEFT_ABI_MAJOR)
        return weft_fail(
            WEFT_E_ABI,
            "was built for plugin ABI %u.%u; weft %s speaks ABI %d.%d: rebuild it against this "
            "<weft/plugin.h>",
            (unsigned)p->abi_major, (unsigned)p->abi_minor, weft_version(), WEFT_ABI_MAJOR,
            WEFT_ABI_MINOR);
    if (p->struct_size < SIZE_TO(weft_plugin, ext))
        return weft_fail(
            WEFT_E_ABI,
            "its weft_plugin has %u bytes, at least %zu are needed: rebuild it against this "
            "<weft/plugin.h>",
            (unsigned)p->struct_size, SIZE_TO(weft_plugin, ext));
    if (!p->abi_tag || strcmp(p->abi_tag, WEFT_ABI_TAG))
        return weft_fail(WEFT_E_ABI,
                         "was built for another kind of machine (%s, this is %s): rebuild it here",
                         p->abi_tag ? p->abi_tag : "no tag", WEFT_ABI_TAG);
    if (!p->name || !weft__is_word(p->name))
        return weft_fail(WEFT_E_ABI,
                         "its name \"%s\" is no name: letters, digits, _ and . are possible",
                         p->name ? p->name : "");
    return check_needs(p->needs);
}

static weft_status check_size(const char *what, uint32_t size, size_t least)
{
    if (size >= least) return WEFT_OK;
    return weft_fail(WEFT_E_ABI, "%s has struct_size %u, at least %zu is needed", what,
                     (unsigned)size, least);
}

/* What a flag means that this library does not know, it could only ignore. known: all of them. */
static weft_status check_flags(const char *what, uint32_t flags, uint32_t known)
{
    char all[16] = "none";
    if (!(flags & ~known)) return WEFT_OK;
    if (known) snprintf(all, sizeof all, "0x%x", (unsigned)known);
    return weft_fail(WEFT_E_ABI,
                     "%s has flags 0x%x, of which this library knows %s: leave the others out, or "
                     "use a newer libweft",
                     what, (unsigned)flags, all);
}

static weft_status check_name(const char *kind, const char *name)
{
    if (name && weft__is_word(name)) return WEFT_OK;
    return weft_fail(WEFT_E_ABI,
                     "a %s named \"%s\": letters, digits, _ and . are possible in a name", kind,
                     name ? name : "");
}

static weft_status check_kernel(const char *what, const weft_ext *kernel)
{
    const uint32_t flags = 2 * WEFT_KERNEL_INPLACE_EACH - 1; /* the last one, and all before */
    char name[160];
    weft_status st;
    if (!kernel->data)
        return weft_fail(WEFT_E_ABI, "%s has a kernel %s without data", what, kernel->id);
    if (!strcmp(kernel->id, WEFT_KERNEL_CPU)) {
        const weft_cpu_kernel *k = kernel->data;
        if ((st = check_size(what, k->struct_size, SIZE_TO(weft_cpu_kernel, run)))) return st;
        if (!k->run) return weft_fail(WEFT_E_ABI, "%s has a cpu kernel without run()", what);
        snprintf(name, sizeof name, "the cpu kernel of %s", what);
        return check_flags(name, k->flags, flags);
    }
    if (!strcmp(kernel->id, WEFT_KERNEL_OPENCL)) {
        const weft_cl_kernel *k = kernel->data;
        if ((st = check_size(what, k->struct_size, SIZE_TO(weft_cl_kernel, enqueue)))) return st;
        if (!k->enqueue && !(k->source && k->kernel))
            return weft_fail(WEFT_E_ABI,
                             "%s has an opencl kernel without source and kernel name, or enqueue()",
                             what);
        snprintf(name, sizeof name, "the opencl kernel of %s", what);
        return check_flags(name, k->flags, flags);
    }
    return WEFT_OK;
}

static weft_status check_op(const weft_op_class *op)
{
    char what[128];
    weft_status st;
    snprintf(what, sizeof what, "op %.100s", op->struct_size >= 24 && op->name ? op->name : "?");
    if ((st = check_size(what, op->struct_size, SIZE_TO(weft_op_class, doc)))) return st;
    if ((st = check_name("op", op->name))) return st;
    if ((st = check_flags(what, op->flags, WEFT_OP_EPILOGUE))) return st;
    if (!op->lower && !(op->kernels && op->kernels->id))
        return weft_fail(WEFT_E_ABI, "%s has neither lower() nor kernels", what);
    if (!op->inputs || !op->outputs)
        return weft_fail(WEFT_E_ABI, "%s does not say its inputs and outputs", what);
    if (!op->outputs[strspn(op->outputs, " ")])
        return weft_fail(WEFT_E_ABI, "%s has no outputs; an op has at least one, as in \"y\"",
                         what);
    if (!op->infer && !op->lower)
        return weft_fail(WEFT_E_ABI, "%s has neither infer() nor lower()", what);
    for (const weft_ext *k = op->kernels; k && k->id; k++)
        if ((st = check_kernel(what, k))) return st;
    return weft__schema_check(op->attrs, what);
}

static weft_status check_layer(const weft_layer_class *layer)
{
    char what[128];
    weft_status st;
    snprintf(what, sizeof what, "layer class %.100s",
             layer->struct_size >= 24 && layer->name ? layer->name : "?");
    if ((st = check_size(what, layer->struct_size, SIZE_TO(weft_layer_class, doc)))) return st;
    if ((st = check_name("layer class", layer->name))) return st;
    if ((st = check_flags(what, layer->flags, WEFT_LAYER_PASS_MASK))) return st;
    if (!layer->build) return weft_fail(WEFT_E_ABI, "%s has no build()", what);
    if (!layer->inputs || !layer->outputs)
        return weft_fail(WEFT_E_ABI, "%s does not say its inputs and outputs", what);
    if (layer->min_version < 1 || layer->min_version > layer->version)
        return weft_fail(WEFT_E_ABI,
                         "%s has version %u and min_version %u: they count from 1, and min_version "
                         "is not above version",
                         what, (unsigned)layer->version, (unsigned)layer->min_version);
    return weft__schema_check(layer->attrs, what);
}

static weft_status check_backend(const weft_backend *b)
{
    char what[128];
    weft_status st = check_size("a backend", b->struct_size, SIZE_TO(weft_backend, services));
    if (st || (st = check_name("backend", b->id))) return st;
    snprintf(what, sizeof what, "backend %.100s", b->id);
    if ((st = check_flags(what, b->flags, 0))) return st;
    if (!b->kernel_ids || !b->probe || !b->info || !b->open || !b->close || !b->alloc ||
        !b->release || !b->write || !b->read || !b->finish || !b->supports || !b->compile ||
        !b->run || !b->release_exe)
        return weft_fail(WEFT_E_ABI,
                         "backend %s lacks a function: only wrap, builds and extension may be NULL",
                         b->id);
    return WEFT_OK;
}

static weft_status check_format(const weft_format *f)
{
    char what[128];
    weft_status st = check_size("a format", f->struct_size, SIZE_TO(weft_format, write));
    if (st || (st = check_name("format", f->name))) return st;
    snprintf(what, sizeof what, "format %.100s", f->name);
    if ((st = check_flags(what, f->flags, 0))) return st;
    if (!f->extensions || !f->probe || !(f->read || f->write))
        return weft_fail(
            WEFT_E_ABI, "format %s lacks extensions, probe(), or both read() and write()", f->name);
    return WEFT_OK;
}

weft_status weft__plugin_check(const weft_plugin *p)
{
    weft_status st;
    for (const weft_op_class *const *op = p->ops; op && *op; op++)
        if ((st = check_op(*op))) return st;
    for (const weft_layer_class *const *layer = p->layers; layer && *layer; layer++)
        if ((st = check_layer(*layer))) return st;
    for (const weft_backend *const *backend = p->backends; backend && *backend; backend++)
        if ((st = check_backend(*backend))) return st;
    for (const weft_format *const *format = p->formats; format && *format; format++)
        if ((st = check_format(*format))) return st;
    return WEFT_OK;
}
