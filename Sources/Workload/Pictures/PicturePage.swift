/// A run as one page of HTML: pictures first, tables after them.
///
/// The page needs no script, no network and no font of its own, and is well-formed XML, too. The same report gives the
/// same bytes. Its size is bounded whatever the run was: plots have about 120 points a line and eight lines, heat maps
/// are of four devices at most, tables end after `PictureTables.rowLimit` rows.
package enum PicturePage {
  /// - Parameter base: an earlier run that is drawn beside this one, dashed.
  package static func text(_ report: RunReport, base: RunCurves? = nil) -> String {
    let run = RunCurves(report, name: "this run")
    let figures = Charts(report, run, base: base).figures
    let tables = PictureTables(report, run, base: base)
    let name = Markup.escaped(Markup.shortened(tables.jobNames, to: 80))
    return """
      <!DOCTYPE html>
      <html lang="en" xmlns="http://www.w3.org/1999/xhtml">
      <head>
      <meta charset="utf-8"/>
      <meta name="viewport" content="width=device-width, initial-scale=1"/>
      <meta name="color-scheme" content="light dark"/>
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
      <title>\(name) – blkdev-run</title>
      <style>
      \(PictureStyle.sheet)</style>
      </head>
      <body>
      <header>
      <h1>\(name)</h1>
      \(tables.headline)</header>
      <main>
      <section class="figures" aria-label="Pictures">
      \(figures.map(\.markup).joined())</section>
      \(tables.markup)</main>
      </body>
      </html>

      """
  }
}
