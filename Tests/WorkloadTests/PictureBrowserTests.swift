import Glibc
import Support
import SystemPackage
import Testing

@testable import Workload

/// A browser without a window, which says on its standard error what a page writes to the console.
private struct Browser {
  /// Debian's and others' names for one program.
  static let path = ["chromium", "chromium-browser", "google-chrome"].lazy.compactMap { ExternalTool($0) }.first?.path

  /// What a page looks like, as a PNG, and the lines about its console.
  static func show(_ page: String, isDark: Bool = false, width: Int = 1200) throws -> (
    picture: [UInt8], console: [Substring]
  ) {
    let browser = try #require(path), timeout = try #require(ExternalTool("timeout"))
    let remove = try #require(ExternalTool("rm"))
    var template = Array("\(TemporaryFile.folder)/blkdev-browser-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { _ = remove.run(["-rf", folder]) }
    let file = try FileDescriptor.open(
      FilePath("\(folder)/page.html"), .writeOnly, options: [.create], permissions: .ownerReadWrite)
    try file.closeAfter { _ = try file.writeAll(page.utf8) }
    let outcome = try #require(
      timeout.run([
        "120", browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        "--user-data-dir=\(folder)/profile", "--window-size=\(width),1600",
        "--blink-settings=preferredColorScheme=\(isDark ? 0 : 1)", "--screenshot=\(folder)/picture.png",
        "file://\(folder)/page.html",
      ]))
    let console = outcome.output.split(separator: "\n").filter { $0.contains("CONSOLE") }
    let picture = try? TemporaryFile.read("\(folder)/picture.png")
    return (try #require(picture, "\(outcome.output)"), console)
  }
}

@Suite("The page in a browser", .enabled(if: Browser.path != nil, "chromium is needed"), .serialized)
struct PictureBrowserTests {
  @Test("what a page writes to the console is seen here")
  func console() throws {
    let page = PicturePage.text(RunReport(command: "c", seed: 1, elapsedNanoseconds: 1))
    let blocked = page.replacing("</body>", with: "<script>alert(1)</script></body>")
    #expect(blocked != page)
    #expect(try !Browser.show(blocked).console.isEmpty)
  }

  @Test("is drawn without an error, on light and on dark paper")
  func drawn() throws {
    let page = PicturePage.text(picturedReport(), base: RunCurves(picturedReport(seconds: 12), name: "base.json"))
    let light = try Browser.show(page), dark = try Browser.show(page, isDark: true)
    #expect(light.console.isEmpty && dark.console.isEmpty)
    let blank = try Browser.show("<!DOCTYPE html><title>nothing</title>")
    #expect(light.picture.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    // An empty sheet is some kilobytes.
    let much = 5 * blank.picture.count
    #expect(light.picture.count > much && dark.picture.count > much)
    #expect(light.picture != dark.picture)
  }
}
