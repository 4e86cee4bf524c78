// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "LibraryExample",
  dependencies: [.package(name: "blkdev", path: "CHECKOUT")],
  targets: [
    .executableTarget(
      name: "LibraryExample",
      dependencies: [
        .product(name: "Reactor", package: "blkdev"),
        .product(name: "BlockDevice", package: "blkdev"),
        .product(name: "Ext2", package: "blkdev"),
      ])
  ]
)
