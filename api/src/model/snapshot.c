/* The variables of one moment, for a writer of files: it reads them one by one while sessions may
 * train the model. */
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "model/parts.h"

static _Thread_local const weft__snapshot *current;

static weft_status make_room(weft__snapshot *s)
{
    size_t n = s->model->n_variables;
    if (!(s->copy = weft__alloc_n(n, sizeof *s->copy))) return WEFT_E_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (!(s->copy[i] = weft__alloc((size_t)weft__spec_bytes(&s->model->variable[i]->spec))))
            return WEFT_E_NOMEM;
    return WEFT_OK;
}

weft_status weft__snapshot_begin(const weft_model *model, weft__snapshot *snapshot)
{
    *snapshot = (weft__snapshot){ .model = model, .outer = current };
    current = snapshot;
    weft_status st = make_room(snapshot);
    if (!st) st = weft__model_pull(model, NULL);
    if (st) {
        weft__snapshot_end(snapshot);
        return st;
    }
    weft__model_read_lock(model);
    for (size_t i = 0; i < model->n_variables; i++)
        memcpy(snapshot->copy[i], model->variable[i]->data,
               (size_t)weft__spec_bytes(&model->variable[i]->spec));
    weft__model_unlock(model);
    return WEFT_OK;
}

void weft__snapshot_end(weft__snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->model->n_variables && snapshot->copy; i++)
        weft__free(snapshot->copy[i]);
    weft__free(snapshot->copy);
    current = snapshot->outer;
}

int weft__snapshot_read(const weft__variable *variable, void *data)
{
    for (size_t i = 0; current && i < current->model->n_variables; i++) {
        if (current->model->variable[i] != variable) continue;
        memcpy(data, current->copy[i], (size_t)weft__spec_bytes(&variable->spec));
        return 1;
    }
    return 0;
}
