/* weft: the command line. Finds the verb and hands over. */
#include <stdio.h>
#include <string.h>
#include "tool.h"

static const tool_verb *const verbs[] = {
    &tool_devices, &tool_plugins, &tool_summary, &tool_predict,  &tool_check,
    &tool_plan,    &tool_convert, &tool_fit,     &tool_evaluate,
};
#define N_VERBS (sizeof verbs / sizeof *verbs)

static void print_help(FILE *file)
{
    fprintf(file, "usage: weft VERB ...\n\n"
                  "Runs and trains Keras-style models on CPUs and OpenCL devices.\n\n");
    for (size_t i = 0; i < N_VERBS; i++)
        fprintf(file, "  %-9s %s\n", verbs[i]->name, verbs[i]->doc);
    fprintf(file,
            "\n`weft VERB --help` tells more; `weft --help env` lists the environment variables;\n"
            "`weft --version`. Exit codes: 0 success, 1 a failed run or check, 2 wrong usage.\n");
}

static int print_settings(void)
{
    weft_setting_info s;

    for (uint32_t i = 0; i < weft_n_settings(); i++) {
        if (weft_setting(i, &s)) return tool_fail();
        printf("%s\n    %s\n    default: %s%s%s\n", s.variable, s.doc,
               s.def && *s.def ? s.def : "none", s.value ? "; now: " : "", s.value ? s.value : "");
    }
    return TOOL_OK;
}

static int print_verb_help(const tool_verb *verb)
{
    printf("usage: weft %s %s\n\n%s.\n\n%s", verb->name, verb->arguments, verb->doc, verb->help);
    return TOOL_OK;
}

static const tool_verb *find_verb(const char *word)
{
    for (size_t i = 0; word && i < N_VERBS; i++)
        if (!strcmp(word, verbs[i]->name)) return verbs[i];
    return NULL;
}

static int is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int run_verb(int argc, char **argv)
{
    const tool_verb *verb = find_verb(argv[1]);

    if (!verb) return tool_usage_error(argv[1], "no such verb; `weft --help` lists them");
    for (int i = 2; i < argc && strcmp(argv[i], "--"); i++)
        if (is_help(argv[i])) return print_verb_help(verb);
    return verb->run(argc - 1, argv + 1);
}

static int run_help(int argc, char **argv)
{
    const char *topic = argc > 2 ? argv[2] : NULL;

    if (argc > 3) return tool_usage_error("help", "takes one topic, got %s and %s", topic, argv[3]);
    if (topic && !strcmp(topic, "env")) return print_settings();
    if (find_verb(topic)) return print_verb_help(find_verb(topic));
    if (topic && !is_help(topic))
        return tool_usage_error(
            "help", "no topic %s; it is env or a verb: `weft --help` lists them", topic);
    print_help(stdout);
    return TOOL_OK;
}

static int is_version(const char *word)
{
    return !strcmp(word, "--version") || !strcmp(word, "-V") || !strcmp(word, "version");
}

static int run_version(int argc, char **argv)
{
    if (argc > 2) return tool_usage_error(argv[1], "takes no argument, got %s", argv[2]);
    printf("weft %s\n", weft_version());
    return TOOL_OK;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    int code = TOOL_OK;

    if (!word) {
        print_help(stderr);
        return TOOL_USAGE;
    }
    if (is_version(word))
        code = run_version(argc, argv);
    else if (is_help(word) || !strcmp(word, "help"))
        code = run_help(argc, argv);
    else
        code = run_verb(argc, argv);
    if ((fflush(stdout) || ferror(stdout)) && code == TOOL_OK) {
        fprintf(stderr, "weft: the output could not be written\n");
        code = TOOL_FAILED;
    }
    return code;
}
