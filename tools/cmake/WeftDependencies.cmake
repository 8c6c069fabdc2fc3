# The libraries that Weft stands on. Required ones end the configuration with what to install;
# without an optional one its backend or format is left out, and the message says so.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_path(LTDL_INCLUDE_DIR ltdl.h)
find_library(LTDL_LIBRARY ltdl)
pkg_check_modules(OPENBLAS IMPORTED_TARGET openblas)
pkg_check_modules(LIBZIP IMPORTED_TARGET libzip)
pkg_check_modules(HDF5 IMPORTED_TARGET hdf5)
pkg_check_modules(JANSSON IMPORTED_TARGET jansson)
find_package(OpenCL QUIET)
find_package(CLBlast CONFIG QUIET)

set(weft_missing "")
foreach(need IN ITEMS
    "LTDL_LIBRARY|libltdl|libltdl-dev"
    "LTDL_INCLUDE_DIR|ltdl.h|libltdl-dev"
    "OPENBLAS_FOUND|OpenBLAS|libopenblas-dev"
    "LIBZIP_FOUND|libzip|libzip-dev")
  string(REPLACE "|" ";" need "${need}")
  list(GET need 0 found)
  list(GET need 1 what)
  list(GET need 2 package)
  if(NOT ${found})
    string(APPEND weft_missing "  ${what} was not found: install ${package}\n")
  endif()
endforeach()
if(weft_missing)
  message(FATAL_ERROR "Weft cannot be built yet:\n${weft_missing}./dev setup installs everything.")
endif()

if(NOT TARGET Ltdl::ltdl)
  add_library(Ltdl::ltdl UNKNOWN IMPORTED)
  set_target_properties(Ltdl::ltdl PROPERTIES IMPORTED_LOCATION "${LTDL_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LTDL_INCLUDE_DIR}")
endif()
