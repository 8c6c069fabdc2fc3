/* Problems beyond the ops' own case lines: odd sizes, all axes, all ranks, all dtypes, every
 * function of expressions. */
#ifndef WEFT_TESTS_EXTRA_CASES_H
#define WEFT_TESTS_EXTRA_CASES_H

typedef struct extra_case {
    const char *op, *line;
} extra_case;
extern const extra_case extra_cases[]; /* ends with { 0 } */

/* The functions of expressions: those of numbers are tried with integers too, those of floats with
 * floats alone. */
typedef struct map_function {
    const char *name;
    int arity, integers;
} map_function;
extern const map_function map_functions[]; /* ends with { 0 } */

/* Calls fn with lines that are made by a rule: movement at every rank, reductions over every set of
 * axes, the map's functions by dtype. */
typedef void (*made_fn)(void *user, const char *op, const char *line);
void made_cases(made_fn fn, void *user);
#endif
