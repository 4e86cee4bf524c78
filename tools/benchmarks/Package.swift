// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .strictMemorySafety(),
]

// What tools/bench measures, in a package of its own: whoever depends on the product does not pay for it.
let package = Package(
  name: "benchmarks",
  dependencies: [
    .package(name: "blkdev", path: "../.."),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    .executableTarget(
      name: "device-bench",
      dependencies: [
        .product(name: "Reactor", package: "blkdev"),
        .product(name: "BlockDevice", package: "blkdev"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "writeback-bench",
      dependencies: [
        .product(name: "Reactor", package: "blkdev"),
        .product(name: "BlockDevice", package: "blkdev"),
        .product(name: "PageCache", package: "blkdev"),
        .product(name: "Ext2", package: "blkdev"),
      ],
      swiftSettings: settings),
    .target(name: "CSyncFS"),
    .executableTarget(
      name: "files-bench",
      dependencies: [
        "CSyncFS",
        .product(name: "Ext2Format", package: "blkdev"),
        .product(name: "Reactor", package: "blkdev"),
        .product(name: "BlockDevice", package: "blkdev"),
        .product(name: "PageCache", package: "blkdev"),
        .product(name: "Ext2", package: "blkdev"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "check-bench", dependencies: [.product(name: "Ext2Tools", package: "blkdev")], swiftSettings: settings),
    .executableTarget(
      name: "lab-bench",
      dependencies: [
        .product(name: "Reactor", package: "blkdev"),
        .product(name: "BlockDevice", package: "blkdev"),
        .product(name: "DeviceLayers", package: "blkdev"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "device-twin", linkerSettings: [.linkedLibrary("aio")]),
  ],
  swiftLanguageModes: [.v6]
)
