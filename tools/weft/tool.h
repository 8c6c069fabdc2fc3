/* The command line: one cmd_<verb>.c a verb, each with its own options and help. */
#ifndef WEFT_TOOL_H
#define WEFT_TOOL_H
#include <stdio.h>
#include <weft/weft.h>

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2 }; /* exit codes */

typedef struct tool_verb {
    const char *name, *arguments, *doc; /* "MODEL [-d DEVICE]...", one line */
    const char *help;                   /* options and an example, after the usage line */
    int (*run)(int argc, char **argv);  /* argv[0] is the verb */
} tool_verb;
extern const tool_verb tool_devices, tool_plugins, tool_summary, tool_predict, tool_check,
    tool_plan, tool_convert, tool_fit, tool_evaluate;

/* Options of one verb. takes: 1 = has a value. An option without a short name has short_name 0. */
typedef struct tool_option {
    char short_name;
    const char *name;
    int takes;
    const char *alias; /* another long name */
} tool_option;
typedef struct tool_args {
    int argc;
    char **argv;
    int at;
    const tool_option *options;
    const char *verb;
    const char *value;
    int plain; /* behind -- */
} tool_args;
/* The next option's index, -1 at the end, -2 after an error (then *exit_code is set). Behind --
 * everything is a word.
 * Words that are no options come as index n (of options), in value. */
int tool_next(tool_args *args, int *exit_code);

/* "weft: <where>: <what>" to stderr. */
int tool_usage_error(const char *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int tool_fail(void); /* prints weft_error(); TOOL_FAILED */
/* The same for what was asked of a session: a device or a loss that does not exist, or options that
 * exclude each other, are wrong usage. */
int tool_fail_session(weft_status st);
/* Text that may come from a file: a control character, which a terminal would obey, as "\x1b". */
void tool_print(FILE *to, const char *text);
/* Before the work: can a model be written to that path? An exit code, after the reason is told. */
int tool_check_output(const char *verb, weft_context *ctx, const char *path);

/* A context that logs to stderr at the level of WEFT_LOG (warnings by default). */
weft_status tool_context(weft_context **ctx);
/* The values of options, args->value; an exit code, after wrong usage has been told. */
int tool_number(const tool_args *args, const char *option, uint64_t least, uint64_t most,
                uint64_t *number);
int tool_fraction(const tool_args *args, const char *option, double *number); /* 0 .. below 1 */
int tool_device(const tool_args *args); /* names it a device at all? */
/* "a,b" from repeated -d; buffer of TOOL_DEVICES bytes. */
#define TOOL_DEVICES 512
int tool_add_device(const tool_args *args, char *devices);
#define TOOL_MAX_BATCH INT32_MAX
/* A string in JSON, quoted and escaped, to stdout. */
void tool_json_string(const char *s);
/* "name=file.npy" of a repeated option: arrays for the model's inputs (-i, -x) or outputs (-y). The
 * name may be left out if the model has one. */
typedef struct tool_files {
    char option;
    int outputs;
    const char *text[64];
    uint32_t n;
} tool_files;
int tool_add_file(const tool_args *args, tool_files *files);
const char *tool_file_path(const char *text); /* without the name */
/* In the model's order; errors are told, WEFT_E_ARG if it is wrong usage. */
weft_status tool_load_arrays(const weft_model *model, const tool_files *files, weft_array ***arrays,
                             uint32_t *n);
void tool_free_arrays(weft_array ***arrays, uint32_t n);
/* Do both paths name the same file, which exists? */
int tool_same_file(const char *a, const char *b);
double tool_seconds(void);
#endif
