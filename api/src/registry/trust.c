/* Who could have changed a file that is going to be loaded as code? Root and the user may; where
 * others may, it is refused, with the command that repairs it. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fail.h"
#include "registry/internal.h"

/* For a shell: 'it'\''s'. */
static void quote(char *dst, size_t size, const char *path)
{
    size_t n = 0;
    if (size < 3) return;
    dst[n++] = '\'';
    for (; *path && n + 6 < size; path++) {
        if (*path == '\'') {
            memcpy(dst + n, "'\\''", 4);
            n += 4;
        } else {
            dst[n++] = *path;
        }
    }
    dst[n++] = '\'';
    dst[n] = 0;
}

static int my_group(gid_t group)
{
    gid_t groups[256];
    if (group == 0 || group == getegid()) return 1;
    int n = getgroups(256, groups);
    for (int i = 0; i < n; i++)
        if (groups[i] == group) return 1;
    return 0;
}

static weft_status refuse(const char *path, const char *why, const char *repair)
{
    char quoted[PATH_MAX + 64];
    quote(quoted, sizeof quoted, path);
    return weft_fail(WEFT_E_UNTRUSTED, "%s %s; run: %s %s", path, why, repair, quoted);
}

/* The file or directory itself. */
static weft_status check_one(const char *path)
{
    struct stat info;
    char why[128], repair[64];
    if (stat(path, &info))
        return weft_fail(WEFT_E_IO, "%s cannot be looked at: %s", path, strerror(errno));
    unsigned mode = (unsigned)info.st_mode & 07777;
    if (mode & S_IWOTH) {
        snprintf(why, sizeof why, "can be written by everyone (mode %04o)", mode);
        return refuse(path, why, "chmod o-w");
    }
    if (mode & S_IWGRP && !my_group(info.st_gid)) {
        snprintf(why, sizeof why, "can be written by group %ld, which is not yours (mode %04o)",
                 (long)info.st_gid, mode);
        return refuse(path, why, "chmod g-w");
    }
    if (info.st_uid != 0 && info.st_uid != geteuid()) {
        snprintf(why, sizeof why, "belongs to user %ld, neither to root nor to you",
                 (long)info.st_uid);
        snprintf(repair, sizeof repair, "sudo chown %ld", (long)geteuid());
        return refuse(path, why, repair);
    }
    return WEFT_OK;
}

/* A parent that everyone may write, and that is not sticky like /tmp, lets everyone rename what is
 * in it. */
static weft_status check_parents(const char *path)
{
    char parent[PATH_MAX];
    struct stat info;
    size_t n = strlen(path);
    if (n >= sizeof parent) return weft_fail(WEFT_E_IO, "%s: the path is too long", path);
    memcpy(parent, path, n + 1);
    while (n > 1) {
        while (n > 1 && parent[n - 1] != '/')
            n--;
        if (n > 1) n--;
        parent[n] = 0;
        if (stat(parent, &info))
            return weft_fail(WEFT_E_IO, "%s cannot be looked at: %s", parent, strerror(errno));
        if (info.st_mode & S_IWOTH && !(info.st_mode & S_ISVTX))
            return refuse(parent, "can be written by everyone", "chmod o-w");
    }
    return WEFT_OK;
}

weft_status weft__trust_check(const char *path)
{
    weft_status st = check_one(path);
    return st ? st : check_parents(path);
}
