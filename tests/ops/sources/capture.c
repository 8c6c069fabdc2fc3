/* Stands in front of the OpenCL loader (LD_PRELOAD) and writes the source of every program into the
 * working directory, a file each. Nothing is built, so that every launch fails; but the copies of
 * movement.cl are, so that what is recorded behind them gets as far as its own programs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void *clCreateProgramWithSource(void *context, unsigned n, const char **text, const size_t *length,
                                int *code);
int clBuildProgram(void *program, unsigned n, void *const *devices, const char *options,
                   void (*done)(void *program, void *user), void *user);

static int builds; /* the program that was made last */

static void *next(const char *name)
{
    return dlsym(dlopen("libOpenCL.so.1", RTLD_NOW), name);
}

/* Equal sources get one name: FNV-1a. */
static void keep(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    char name[32];
    FILE *f;

    for (const char *c = text; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    snprintf(name, sizeof name, "%016llx.cl", (unsigned long long)hash);
    if (!(f = fopen(name, "w"))) return;
    fputs(text, f);
    fclose(f);
}

/* Weft gives one text, which ends with a 0. */
void *clCreateProgramWithSource(void *context, unsigned n, const char **text, const size_t *length,
                                int *code)
{
    void *(*make)(void *, unsigned, const char **, const size_t *, int *);

    *(void **)&make = next("clCreateProgramWithSource");
    keep(*text);
    builds = strstr(*text, "void copy3(") != NULL;
    return make(context, n, text, length, code);
}

int clBuildProgram(void *program, unsigned n, void *const *devices, const char *options,
                   void (*done)(void *, void *), void *user)
{
    int (*build)(void *, unsigned, void *const *, const char *, void (*)(void *, void *), void *);

    *(void **)&build = next("clBuildProgram");
    return builds ? build(program, n, devices, options, done, user) : 0;
}
