/* Files written safely: a temporary file in the same folder, fsync, rename. */
#ifndef WEFT_BASE_FILE_H
#define WEFT_BASE_FILE_H
#include <stdio.h>
#include <weft/plugin.h>
typedef struct weft__file {
    FILE *stream;
    char *path, *temporary;
    int has_old;          /* there is a file to replace: */
    unsigned mode, group; /* its permissions, and whose those of the group are */
} weft__file;
/* Writers use ->stream, or close it, set it to NULL and write the file ->temporary by other means.
 * A symbolic link is followed: the file that it names is replaced, or made. Refuses what exists and
 * is no regular file, or is read-only, by its permissions (also for root) or for this user. The new
 * file gets the permissions of the old one, and its group; those of the group are left out where
 * that cannot be. */
weft_status weft__file_create(const char *path, weft__file **file);
weft_status weft__file_commit(
    weft__file **file); /* on failure the old file is untouched; *file is NULL after either */
void weft__file_discard(weft__file **file); /* accepts NULL */
/* Opens a regular file for reading; *size is its size. */
weft_status weft__file_open(const char *path, FILE **stream, uint64_t *size);
#endif
