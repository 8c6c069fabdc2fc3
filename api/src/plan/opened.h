/* Opened devices: what plans of one session share, each with its arenas and its copies of
 * variables. */
#ifndef WEFT_PLAN_OPENED_H
#define WEFT_PLAN_OPENED_H
#include "model/slots.h"
#include "plan/step.h"

typedef struct weft__buffer {
    weft_buf *buf;
    uint64_t bytes;
} weft__buffer;
typedef struct weft__copy { /* a variable on a device, in the dtype that the graph wants */
    weft__variable *variable;
    weft_dtype dtype;
    uint64_t generation; /* of the data that is there; 0 = none yet */
    int newer;           /* a run has written it: the model does not have that yet */
    weft__buffer buffer;
    weft_array *home; /* while values come home: what it holds, in the variable's dtype */
} weft__copy;

enum { WEFT__MAX_ARENAS = 16 };
typedef struct weft__device {
    char *id; /* "opencl:0", as `weft devices` lists it, however it was spelt */
    const weft_backend *backend;
    weft_dev *dev;
    uint32_t number; /* of the backend's devices */
    weft_dev_info info;
    weft__buffer arena[WEFT__MAX_ARENAS]; /* grow only; shared by all plans of the session */
    weft__copy **copy;
    size_t n_copies, cap_copies;
    uint64_t epoch; /* grows whenever a buffer is made or released: old binds may lie */
    uint64_t bytes; /* held now */
} weft__device;

typedef struct weft__devices {
    weft_context *ctx;
    weft__device *device;
    uint32_t n;
    weft__pack *pack; /* of a session that is compiled for training; borrowed */
    uint64_t own; /* grows when a variable of the session's own changes that prologues may read */
} weft__devices;

/* text: "opencl:0,cpu" or "best". cpu is appended unless strict. An unusable device is an error
 * with its reason. */
weft_status weft__devices_open(weft_context *ctx, const char *text, int strict,
                               weft__devices **devices);
void weft__devices_close(weft__devices **devices);
/* That device alone, borrowed. */
weft__devices weft__devices_only(const weft__devices *devices, uint32_t device);

/* what names the owner in the error of a buffer above the device's limit. */
weft_status weft__buffer_alloc(weft__device *device, uint64_t bytes, const char *what,
                               weft__buffer *buffer);
void weft__buffer_release(weft__device *device, weft__buffer *buffer);
/* Makes it at least that large; what it held is lost. */
weft_status weft__buffer_reserve(weft__device *device, uint64_t bytes, const char *what,
                                 weft__buffer *buffer);
/* The device's answer to step, into step->support. */
int weft__device_asks(const weft__device *device, weft__step *step);
uint64_t weft__device_align(const weft__device *device);
/* The copy of a variable, made on demand, without data. */
weft_status weft__device_copy(weft__device *device, weft__variable *variable, weft_dtype dtype,
                              weft__copy **copy);
/* Uploads the data if it has changed. Under the model's read lock. */
weft_status weft__device_upload(weft__device *device, weft__copy *copy);
/* A run has written the copy: other devices' copies of the variable, if there are any (then 1), are
 * out of date. */
int weft__devices_wrote(weft__devices *devices, weft__copy *copy);
/* Is any copy newer than its variable's data? */
int weft__devices_newer(const weft__devices *devices);
/* All copies that are newer than their variables' data go there, under the model's write lock:
 * readers see those of one moment. */
weft_status weft__devices_pull(weft__devices *devices, const weft_model *model);
/* So does the copy of that variable, one of the session's own. */
weft_status weft__devices_pull_own(weft__devices *devices, const weft__variable *variable);
/* Forgets the copies of all variables, and the pack: no plan that uses them is left. */
void weft__devices_drop_copies(weft__devices *devices);
/* The variable, one of the session's own, gets the data (of its dtype), and its copies do;
 * devices->own is the caller's to raise if a prologue may depend on it. */
weft_status weft__devices_set(weft__devices *devices, weft__variable *variable, const void *data);
#endif
