/* weft: the command line. Finds the verb and hands over. */
#include <stdio.h>
#include <string.h>
#include "tool.h"

static const tool_verb *const verbs[] = {
    &tool_devices, &tool_plugins, &tool_summary, &tool_predict, &tool_check, &tool_plan,
};
#define N_VERBS (sizeof verbs / sizeof *verbs)

static void print_help(FILE *file)
{
    fprintf(file,
            "usage: weft VERB ...\n\nRuns Keras-style models on CPUs and OpenCL devices.\n\n");
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

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;

    if (!word) {
        print_help(stderr);
        return TOOL_USAGE;
    }
    if (!strcmp(word, "--version")) return printf("weft %s\n", weft_version()) < 0;
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        if (argc > 2 && !strcmp(argv[2], "env")) return print_settings();
        print_help(stdout);
        return TOOL_OK;
    }
    for (size_t i = 0; i < N_VERBS; i++)
        if (!strcmp(word, verbs[i]->name)) {
            if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"))) {
                printf("usage: weft %s %s\n\n%s.\n\n%s", verbs[i]->name, verbs[i]->arguments,
                       verbs[i]->doc, verbs[i]->help);
                return TOOL_OK;
            }
            return verbs[i]->run(argc - 1, argv + 1);
        }
    return tool_usage_error(word, "no such verb; `weft --help` lists them");
}
