/* The plugin ABI is frozen: abi_layout.h says where everything lies, and whoever moves something
 * finds out when this is compiled. What a compiler cannot see is seen when it runs: every field
 * begins where the one before ends (R9), so that none is missing in the table. */
#include <stdio.h>
#include <string.h>
#include <weft/backend.h>
#include <weft/format.h>
#include <weft/gemm.h>
#include <weft/map.h>

enum { SKIPPED = 77 };

#define MOVED " is not as in tests/headers/abi_layout.h, which says what to do"
#define ABI(major, minor)                                                  \
    _Static_assert(WEFT_ABI_MAJOR == (major) && WEFT_ABI_MINOR == (minor), \
                   "the version of the ABI" MOVED);
#define VALUE(name, value) _Static_assert((name) == (value), #name MOVED);
#if UINTPTR_MAX > 0xffffffffu
#define STRUCT(type, size) _Static_assert(sizeof(type) == (size), "the size of " #type MOVED);
#define FIELD(type, field, offset, size)                                                      \
    _Static_assert(offsetof(type, field) == (offset) && sizeof(((type *)0)->field) == (size), \
                   #type "." #field MOVED);
#else
#define STRUCT(type, size)
#define FIELD(type, field, offset, size)
#endif
#include "abi_layout.h"
#undef ABI
#undef VALUE
#undef STRUCT
#undef FIELD

typedef struct row {
    const char *type, *field; /* NULL: the row of the struct itself */
    size_t offset, size;
} row;
#define ABI(major, minor)
#define VALUE(name, value)
#define STRUCT(type, size) { #type, NULL, 0, size },
#define FIELD(type, field, offset, size) { #type, #field, offset, size },
static const row rows[] = {
#include "abi_layout.h"
};

int main(void)
{
    const row *all = NULL, *stop = rows + sizeof rows / sizeof *rows;
    size_t end = 0;
    int wrong = 0;

    if (strcmp(WEFT_ABI_TAG, "p64.le")) {
        printf("skipped: the table is that of p64.le, this is " WEFT_ABI_TAG "\n");
        return SKIPPED;
    }
    for (const row *r = rows; r <= stop; r++) {
        if (r < stop && r->field) {
            if (r->offset != end || strcmp(r->type, all->type)) {
                printf("%s.%s begins at %zu, not at %zu: a hole, or a row is missing\n", r->type,
                       r->field, r->offset, end);
                wrong++;
            }
            end = r->offset + r->size;
            continue;
        }
        if (all && (end != all->size || all->size % 8)) {
            printf("%s has %zu bytes, its fields %zu: a hole, or a row is missing\n", all->type,
                   all->size, end);
            wrong++;
        }
        all = r;
        end = 0;
    }
    return wrong != 0;
}
