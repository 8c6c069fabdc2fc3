/* The text in front of a .npy file's numbers. */
#ifndef WEFT_BASE_NPY_HEADER_H
#define WEFT_BASE_NPY_HEADER_H
#include <weft/plugin.h>
typedef struct weft__npy_head {
    char order, kind; /* '<' '>' '|' '='; 'f' 'i' 'u' 'b' */
    uint32_t size;    /* bytes of one element in the file */
    int fortran;
    int32_t rank;
    int64_t dim[WEFT_MAX_RANK]; /* as in the file, not checked for their product */
} weft__npy_head;
/* Parses the Python dictionary; name is for errors. */
weft_status weft__npy_parse(const char *text, const char *name, weft__npy_head *head);
#endif
