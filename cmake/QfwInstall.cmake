# Layout of an installation. In a wheel everything native lies inside the package (qfw/lib, qfw/include, qfw/_core), the
# shell scripts beside the environment's python, and their lib.sh under share/qfw. The component `native` is what
# scripts/dev/setup installs again after each build.
include(GNUInstallDirs)
if(SKBUILD)
  set(qfw_libdir qfw/lib)
  set(qfw_includedir qfw/include)
  set(qfw_bindir "${SKBUILD_SCRIPTS_DIR}")
  set(qfw_sharedir "${SKBUILD_DATA_DIR}/share/qfw")
else()
  set(qfw_libdir ${CMAKE_INSTALL_LIBDIR})
  set(qfw_includedir ${CMAKE_INSTALL_INCLUDEDIR})
  set(qfw_bindir ${CMAKE_INSTALL_BINDIR})
  set(qfw_sharedir ${CMAKE_INSTALL_DATADIR}/qfw)
endif()
if(SKBUILD) # a wheel has no links: `-lqpi` finds a linker script instead
  install(TARGETS qpi LIBRARY DESTINATION ${qfw_libdir} COMPONENT native NAMELINK_SKIP)
  file(WRITE "${PROJECT_BINARY_DIR}/wheel/libqpi.so" "INPUT(libqpi.so.1)\n")
  install(FILES "${PROJECT_BINARY_DIR}/wheel/libqpi.so" DESTINATION ${qfw_libdir} COMPONENT native)
else()
  install(TARGETS qpi LIBRARY DESTINATION ${qfw_libdir} COMPONENT native)
endif()
install(DIRECTORY qpi/include/qpi DESTINATION ${qfw_includedir} COMPONENT native)

# Both files find the library from where they lie: a wheel has no fixed prefix.
file(RELATIVE_PATH qfw_pc_to_include "/${qfw_libdir}/pkgconfig" "/${qfw_includedir}")
file(RELATIVE_PATH qfw_cmake_to_include "/${qfw_libdir}/cmake/qpi" "/${qfw_includedir}")
configure_file(cmake/qpi.pc.in qpi.pc @ONLY)
configure_file(cmake/qpiConfig.cmake.in qpiConfig.cmake @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/qpi.pc" DESTINATION ${qfw_libdir}/pkgconfig COMPONENT native)
include(CMakePackageConfigHelpers)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/qpiConfigVersion.cmake" COMPATIBILITY SameMajorVersion)
install(FILES "${PROJECT_BINARY_DIR}/qpiConfig.cmake" "${PROJECT_BINARY_DIR}/qpiConfigVersion.cmake" DESTINATION ${qfw_libdir}/cmake/qpi COMPONENT native)

install(PROGRAMS scripts/qfw_setup.sh scripts/qfw_srun.sh scripts/qfw_teardown.sh DESTINATION "${qfw_bindir}"
  COMPONENT scripts)
install(FILES scripts/qfw_activate DESTINATION "${qfw_bindir}" COMPONENT scripts)
install(FILES scripts/lib.sh DESTINATION "${qfw_sharedir}" COMPONENT scripts)
