/* What the verbs share: options, errors, devices, inputs. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "tool.h"

int tool_usage_error(const char *verb, const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "weft: %s: ", verb);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    return TOOL_USAGE;
}

/* How many bytes the control character here has: C0 but line ends and tabs, DEL, C1 in UTF-8. */
static int control(const char *s)
{
    unsigned char c = (unsigned char)s[0], next = c ? (unsigned char)s[1] : 0;

    if (c == 0xc2 && next >= 0x80 && next < 0xa0) return 2;
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

void tool_print(FILE *to, const char *text)
{
    for (int n; *text; text++) {
        if (!(n = control(text))) fputc(*text, to);
        for (int i = 0; i < n; i++)
            fprintf(to, "\\x%02x", (unsigned char)text[i]);
        if (n) text += n - 1;
    }
}

int tool_fail(void)
{
    fputs("weft: ", stderr);
    tool_print(stderr, weft_error());
    fputs("\n", stderr);
    return TOOL_FAILED;
}

int tool_check_output(const char *verb, weft_context *ctx, const char *path)
{
    if (!weft_model_check_path(ctx, path)) return TOOL_OK;
    return tool_usage_error(verb, "%s", weft_error());
}

int tool_fail_session(weft_status st)
{
    tool_fail();
    return st == WEFT_E_ARG || st == WEFT_E_NOTFOUND || st == WEFT_E_ATTR ? TOOL_USAGE
                                                                          : TOOL_FAILED;
}

/* The value behind "--name", "" if there is none; NULL: another option. */
static const char *match_long(const char *a, const char *name)
{
    size_t n = name ? strlen(name) : 0;

    if (!n || strncmp(a, "--", 2) || strncmp(a + 2, name, n)) return NULL;
    return !a[2 + n] || a[2 + n] == '=' ? a + 2 + n : NULL;
}

/* Index of the option that argument `a` spells, or -1; *attached is its value in the same argument.
 */
static int find_option(const tool_option *options, const char *a, const char **attached)
{
    *attached = NULL;
    for (int i = 0; options[i].name; i++) {
        const char *end = match_long(a, options[i].name);

        if (a[0] == '-' && a[1] && a[1] == options[i].short_name) {
            if (a[2]) *attached = a[2] == '=' ? a + 3 : a + 2;
            return i;
        }
        if (!end) end = match_long(a, options[i].alias);
        if (end) {
            if (*end) *attached = end + 1;
            return i;
        }
    }
    return -1;
}

int tool_next(tool_args *args, int *exit_code)
{
    const char *a, *attached;
    int i, n = 0;

    *exit_code = TOOL_OK;
    if (++args->at < args->argc && !args->plain && !strcmp(args->argv[args->at], "--")) {
        args->plain = 1;
        args->at++;
    }
    if (args->at >= args->argc) return -1;
    a = args->argv[args->at];
    while (args->options[n].name)
        n++;
    if (args->plain || a[0] != '-' || !a[1]) {
        args->value = a;
        return n;
    }
    i = find_option(args->options, a, &attached);
    if (i < 0)
        *exit_code = tool_usage_error(args->verb, "unknown option %s; `weft %s --help` lists them",
                                      a, args->verb);
    else if (!args->options[i].takes && attached)
        *exit_code =
            tool_usage_error(args->verb, "option --%s takes no value", args->options[i].name);
    else if (args->options[i].takes && !attached && args->at + 1 >= args->argc)
        *exit_code =
            tool_usage_error(args->verb, "option --%s wants a value", args->options[i].name);
    if (*exit_code) return -2;
    args->value = attached ? attached : args->options[i].takes ? args->argv[++args->at] : NULL;
    return i;
}

static void print_log(void *user, weft_log_level level, const char *message)
{
    static const char *const names[] = { "debug", "info", "warning", "error" };

    (void)user;
    fprintf(stderr, "weft: %s: ", level >= 0 && level <= WEFT_LOG_ERROR ? names[level] : "log");
    tool_print(stderr, message);
    fputs("\n", stderr);
}

/* The value of WEFT_LOG as a level; warnings if it is not set. */
static weft_log_level log_level(void)
{
    weft_setting_info s;

    for (uint32_t i = 0; i < weft_n_settings(); i++)
        if (!weft_setting(i, &s) && !strcmp(s.variable, "WEFT_LOG") && s.value)
            return !strcmp(s.value, "debug")   ? WEFT_LOG_DEBUG
                   : !strcmp(s.value, "info")  ? WEFT_LOG_INFO
                   : !strcmp(s.value, "error") ? WEFT_LOG_ERROR
                                               : WEFT_LOG_WARN;
    return WEFT_LOG_WARN;
}

weft_status tool_context(weft_context **ctx)
{
    weft_status st = weft_context_create(NULL, ctx);

    if (!st) weft_context_log(*ctx, log_level(), print_log, NULL);
    return st;
}

int tool_number(const tool_args *args, const char *option, uint64_t least, uint64_t most,
                uint64_t *number)
{
    const char *text = args->value;
    unsigned long long n = 0;
    char *end = NULL;

    errno = 0;
    if (*text >= '0' && *text <= '9') n = strtoull(text, &end, 10); /* no sign, no blanks */
    if (!end || *end || errno || n < least || n > most)
        return tool_usage_error(args->verb, "--%s is \"%s\"; give a whole number from %llu to %llu",
                                option, text, (unsigned long long)least, (unsigned long long)most);
    *number = n;
    return TOOL_OK;
}

int tool_fraction(const tool_args *args, const char *option, double *number)
{
    const char *text = args->value;
    char *end = NULL;

    if ((*text >= '0' && *text <= '9') || *text == '.') *number = strtod(text, &end);
    if (!end || *end || !(*number >= 0 && *number < 1))
        return tool_usage_error(args->verb,
                                "--%s is \"%s\"; give a part of the whole, from 0 to below 1",
                                option, text);
    return TOOL_OK;
}

int tool_device(const tool_args *args)
{
    if (args->value[strspn(args->value, ", ")]) return TOOL_OK;
    return tool_usage_error(args->verb,
                            "--device is \"%s\"; give cpu, opencl:0 or best (`weft devices` lists "
                            "what there is), or leave it out",
                            args->value);
}

int tool_add_device(const tool_args *args, char *devices)
{
    int code = tool_device(args);

    if (code) return code;
    if (strlen(devices) + strlen(args->value) + 2 > TOOL_DEVICES)
        return tool_usage_error(args->verb, "the names of the devices are longer than %d bytes",
                                TOOL_DEVICES - 2);
    if (*devices) strcat(devices, ",");
    strcat(devices, args->value);
    return TOOL_OK;
}

void tool_json_string(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            printf("\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            printf("\\u%04x", *s);
        else
            putchar(*s);
    }
    putchar('"');
}

int tool_add_file(const tool_args *args, tool_files *files)
{
    const uint32_t most = sizeof files->text / sizeof *files->text;

    if (files->n == most)
        return tool_usage_error(args->verb, "more than %u files by -%c", most, files->option);
    files->text[files->n++] = args->value;
    return TOOL_OK;
}

const char *tool_file_path(const char *text)
{
    const char *eq = strchr(text, '=');

    return eq ? eq + 1 : text;
}

static uint32_t n_ports(const weft_model *model, const tool_files *files)
{
    return files->outputs ? weft_model_n_outputs(model) : weft_model_n_inputs(model);
}

/* The name of input or output i; "" if it has none. */
static const char *port_name(const weft_model *model, const tool_files *files, uint32_t i)
{
    const char *name = NULL;

    if (files->outputs)
        weft_model_output(model, i, &name, NULL);
    else
        weft_model_input(model, i, &name, NULL);
    return name ? name : "";
}

/* Which input or output "name=file" or "file" means; their number if there is none of that name. */
static uint32_t find_port(const weft_model *model, const tool_files *files, const char *text)
{
    const char *eq = strchr(text, '=');
    uint32_t n = n_ports(model, files);

    if (!eq) return n == 1 ? 0 : n;
    for (uint32_t i = 0; i < n; i++) {
        const char *name = port_name(model, files, i);

        if (strlen(name) == (size_t)(eq - text) && !strncmp(name, text, strlen(name))) return i;
    }
    return n;
}

/* "image, tabular" for messages. */
static void list_ports(const weft_model *model, const tool_files *files, char *text, size_t size)
{
    size_t at = 0;

    *text = 0;
    for (uint32_t i = 0; i < n_ports(model, files) && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", i ? ", " : "",
                               port_name(model, files, i));
}

weft_status tool_load_arrays(const weft_model *model, const tool_files *files, weft_array ***arrays,
                             uint32_t *n)
{
    const char *what = files->outputs ? "output" : "input";
    char names[512];
    weft_status st;

    list_ports(model, files, names, sizeof names);
    *n = n_ports(model, files);
    if (!(*arrays = calloc(*n ? *n : 1, sizeof **arrays))) {
        fprintf(stderr, "weft: out of memory\n");
        return WEFT_E_NOMEM;
    }
    for (uint32_t i = 0; i < files->n; i++) {
        uint32_t k = find_port(model, files, files->text[i]);

        if (k == *n || (*arrays)[k]) {
            fprintf(stderr,
                    "weft: -%c %s: %s %s%s; the model's %ss are: %s (give -%c NAME=FILE.npy for "
                    "each)\n",
                    files->option, files->text[i], k == *n ? "no such" : "this", what,
                    k == *n ? "" : " is given twice", what, names, files->option);
            return WEFT_E_ARG;
        }
        if (!*tool_file_path(files->text[i])) {
            fprintf(stderr, "weft: -%c %s: the name of the file is missing behind the =\n",
                    files->option, files->text[i]);
            return WEFT_E_ARG;
        }
        if ((st = weft_npy_read(tool_file_path(files->text[i]), &(*arrays)[k]))) {
            tool_fail();
            return st;
        }
    }
    for (uint32_t k = 0; k < *n; k++)
        if (!(*arrays)[k]) {
            const char *name = port_name(model, files, k);

            fprintf(stderr,
                    "weft: %s \"%s\" is missing: give -%c %s=FILE.npy (the model's %ss are: %s)\n",
                    what, name, files->option, name, what, names);
            return WEFT_E_ARG;
        }
    return WEFT_OK;
}

void tool_free_arrays(weft_array ***arrays, uint32_t n)
{
    if (!*arrays) return;
    for (uint32_t i = 0; i < n; i++)
        weft_array_destroy(&(*arrays)[i]);
    free(*arrays);
    *arrays = NULL;
}

int tool_same_file(const char *a, const char *b)
{
    struct stat x, y;

    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

double tool_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
